"""Empty a slot: out of the router, drained, stopped, removed."""

from domain.ports import Router, Workload
from domain.release.outcomes import Retired
from domain.release.route import Route, Slot
from tasks.step import Warrant, step


def already_empty(
    warrant: Warrant, route: Route | None, slot: Slot, grace: float, service: str, router: Router, workload: Workload
) -> Retired | None:
    """Find the slot empty on the router and on the engine."""
    left = route.holding(slot, ()) if route else None
    if left and router.observe(left.name) != left:
        return None
    there = any(replica.slot == slot for replica in workload.running(service, warrant.environment))
    return None if there else Retired(route=left, slot=slot)


@step(Retired, observe=already_empty, timeout=300)
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
