"""Stop and remove one replica."""

from domain.ports import Workload
from domain.release.artifact import Replica
from domain.release.outcomes import Dismissed
from tasks.step import Warrant, step


def already_gone(warrant: Warrant, replica: Replica, grace: float, workload: Workload) -> Dismissed | None:
    """Find that the engine does not have it any more."""
    there = workload.running(replica.service, replica.environment)
    return None if any(it.id == replica.id for it in there) else Dismissed(replica=replica.name)


@step(Dismissed, observe=already_gone, timeout=300)
def dismiss(warrant: Warrant, replica: Replica, grace: float, workload: Workload) -> Dismissed:
    """Stop a replica that the router does not lead to, within `grace` seconds, and remove it."""
    workload.stop([replica], grace, warrant.token)
    return Dismissed(replica=replica.name)
