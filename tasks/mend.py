"""Mend one difference; every effect is a step of its own, so that the journal knows what stands afterwards."""

from domain.environment.drift import ApplyRoute, Repair, ReplaceReplicas, StartMissing, StopStray
from domain.ports import Ports
from tasks.deploy import deploy
from tasks.dismiss import dismiss
from tasks.shift import shift
from tasks.step import Warrant


def mend(warrant: Warrant, repair: Repair, grace: float, ports: Ports) -> None:
    """Carry a repair out; `grace` in seconds, for a replica's last requests.

    Raises what its steps raise: Rejected when a replica never becomes ready, Conflict when a newer owner is there.
    """
    match repair:
        case StartMissing(deployment=wanted):
            deploy(warrant, wanted, ports)
        case ReplaceReplicas(deployment=wanted, replicas=wrong, around=around):
            if around:
                shift(warrant, around, ports.router)
            for replica in wrong:
                dismiss(warrant, replica, grace, ports.workload)
            deploy(warrant, wanted, ports)
        case ApplyRoute(route=route):
            shift(warrant, route, ports.router)
        case StopStray(replica=stray):
            dismiss(warrant, stray, grace, ports.workload)
