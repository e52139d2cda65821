"""Empty a slot: out of the router, drained, stopped, removed."""

from domain.ports import Router, Workload
from domain.release.outcomes import Retired
from domain.release.route import Route, Slot
from tasks.step import Warrant, step


@step(Retired, timeout=300)
def retire(
    warrant: Warrant, route: Route | None, slot: Slot, grace: float, service: str, router: Router, workload: Workload
) -> Retired:
    """Take a slot's replicas off the route (drained) and stop them; `grace` in seconds.

    `route` is what the journal says of the route now; None: it was never opened.
    """
    left = None
    if route is not None:
        left = route.holding(slot, ())
        router.apply(left, warrant.token)
    warrant.check()  # draining takes a while: only what still runs, and only while the environment is ours
    replicas = [r for r in workload.running(service, warrant.environment) if r.slot == slot]
    workload.stop(replicas, grace, warrant.token)
    return Retired(route=left, slot=slot)
