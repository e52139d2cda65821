"""Have every plane of an environment refuse whoever held it before, also where nothing is done yet."""

from collections.abc import Callable

from domain.errors import Conflict, ReleaseError
from domain.ports import Ports
from tasks.step import Warrant, look


@look
def claim(warrant: Warrant, ports: Ports) -> None:
    """Show the new token to router, engine and database; raises Conflict when one of them knows a newer owner.

    A plane that does not answer, or refuses for a reason of its own, is claimed by the first effect there: an undo must
    not wait for what it may not need.
    """
    database = ports.databases.get(warrant.environment)
    _show(lambda: ports.router.claim(f"{warrant.service}-{warrant.environment}", warrant.token))
    _show(lambda: ports.workload.claim(warrant.service, warrant.environment, warrant.token))
    if database:
        _show(lambda: database.claim(warrant.token))


def _show(token: Callable[[], None]) -> None:
    try:
        token()
    except Conflict:
        raise
    except ReleaseError:
        return
