"""Have every plane of an environment refuse whoever held it before, also where nothing is done yet."""

from contextlib import suppress

from domain.errors import Unavailable
from domain.ports import Ports
from tasks.step import Warrant, look


@look
def claim(warrant: Warrant, ports: Ports) -> None:
    """Show the new token to router, engine and database; raises Conflict when one of them knows a newer owner.

    What does not answer is claimed by the first effect there: an undo must not wait for what it may not need.
    """
    database = ports.databases.get(warrant.environment)
    with suppress(Unavailable):
        ports.router.claim(f"{warrant.service}-{warrant.environment}", warrant.token)
    with suppress(Unavailable):
        ports.workload.claim(warrant.service, warrant.environment, warrant.token)
    if database:
        with suppress(Unavailable):
            database.claim(warrant.token)
