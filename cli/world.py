"""What the router and the engine say, where it is not what the journal says."""

from domain.errors import ReleaseError
from domain.ports import Router, Workload
from domain.release.route import Route, Slot
from domain.release.standing import Standing

_SLOTS: tuple[Slot, ...] = ("blue", "green")


def traffic(stands: Standing, name: str, router: Router) -> tuple[str, list[str]]:
    """Say what the router does for a route, and how that differs from the journal."""
    try:
        seen = router.observe(name)
    except ReleaseError as error:
        return "?", [f"router: {error.message}"]
    told = stands.route
    if seen is None:
        return "no route", [f"router: does not know {name}"] if told else []
    said = f"{seen.leading} {seen.share(seen.leading) / 100:g} %"
    if told is None:
        return said, [f"router: has a route {name} that the journal does not know"]
    return said, _compare(told, seen)


def _compare(told: Route, seen: Route) -> list[str]:
    wrong = []
    if told.green_share != seen.green_share:
        wrong.append(f"router: green has {seen.green_share / 100:g} %, the journal says {told.green_share / 100:g} %")
    for slot in _SLOTS:
        here, there = ({endpoint.name for endpoint in route.endpoints(slot)} for route in (seen, told))
        wrong += [f"router: {name} is in slot {slot}, against the journal" for name in sorted(here - there)]
        wrong += [f"router: {name} is missing in slot {slot}" for name in sorted(there - here)]
    return wrong


def replicas(stands: Standing, service: str, environment: str, workload: Workload) -> tuple[str, list[str]]:
    """Count the replicas that run, and say how that differs from the journal."""
    try:
        seen = workload.running(service, environment)
    except ReleaseError as error:
        return "?", [f"engine: {error.message}"]
    running = {replica.name for replica in seen if replica.running}
    told = {replica.name for slot in _SLOTS if (here := stands.slot(slot)) for replica in here.replicas}
    wrong = [f"engine: {name} does not run" for name in sorted(told - running)]
    wrong += [f"engine: {name} runs, against the journal" for name in sorted(running - told)]
    return f"{len(running)} of {len(told)}", wrong
