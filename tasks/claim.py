"""Have every plane of an environment refuse whoever held it before, also where nothing is done yet."""

from collections.abc import Callable

from domain.errors import Conflict, ReleaseError, Unavailable
from domain.ports import Ports
from tasks.step import Warrant, look


@look
def claim(warrant: Warrant, ports: Ports, *, insist: bool = False) -> None:
    """Show the new token to router, engine and database; raises Conflict when one of them knows a newer owner.

    A plane that does not answer, or refuses for a reason of its own, is claimed by the first effect there: an undo must
    not wait for what it may not need. Before it ends it must `insist`, and Unavailable is raised: whoever was overtaken
    may still be about to act on a plane that the undo had no need of.
    """
    database = ports.databases.get(warrant.environment)
    _show(lambda: ports.router.claim(f"{warrant.service}-{warrant.environment}", warrant.token), insist=insist)
    _show(lambda: ports.workload.claim(warrant.service, warrant.environment, warrant.token), insist=insist)
    if database:
        _show(lambda: database.claim(warrant.token), insist=insist)


def _show(token: Callable[[], None], *, insist: bool) -> None:
    try:
        token()
    except Conflict:
        raise
    except Unavailable:
        if insist:
            raise
    except ReleaseError:
        return
