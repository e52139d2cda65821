"""The ledger held against the world, plane by plane."""

from collections.abc import Iterator

from domain.environment.drift import ApplyRoute, Drift, Plane, ReplaceReplicas, Seen, StartMissing, StopStray
from domain.release.artifact import Replica
from domain.release.outcomes import Deployed
from domain.release.route import Endpoint, Route, Slot
from domain.release.standing import Standing

_SLOTS: tuple[Slot, Slot] = ("blue", "green")
_HANDS_OFF = "data is never changed to fit a record: bring the schema back, or record the change as a migration"


def compare(stands: Standing, seen: Seen) -> tuple[Drift, ...]:
    """List every difference, in the order in which they are to be mended; empty: the world is as recorded.

    What is missing is started before the route leads to it, and strays are stopped after the route has left them. A
    mended replica has a new address, so a route may differ only after the first repair: look again after each. Wrong
    replicas come before missing ones, because starting a deployment replaces the wrong ones, drained or not.
    """
    wanted = wanted_route(stands, seen)
    return (
        *_not_it(stands, seen, wanted),
        *_missing(stands, seen),
        *_traffic(wanted, seen),
        *_strays(stands, seen),
        *_schema(stands, seen),
    )


def wanted_route(stands: Standing, seen: Seen) -> Route | None:
    """Compose the recorded route with the deployed replicas where they are now; one that is not there stays put."""
    route = stands.route
    if route is None:
        return None
    for slot in _SLOTS:
        there, told = _running(seen, slot), stands.slot(slot)
        places = [there.get(r.name, r) if _is_it(there.get(r.name), told) else r for r in told.replicas] if told else []
        ordered = sorted(places, key=lambda replica: replica.name)
        route = route.holding(slot, tuple(Endpoint(name=r.name, address=r.address, port=r.port) for r in ordered))
    return route


def _missing(stands: Standing, seen: Seen) -> Iterator[Drift]:
    for slot in _SLOTS:
        if told := stands.slot(slot):
            known, running = {r.name for r in seen.replicas}, _running(seen, slot)
            names = sorted(r.name for r in told.replicas)
            absent = [f"{name} {'is stopped' if name in known else 'is gone'}" for name in names if name not in running]
            if absent:
                yield Drift(
                    plane="replicas",
                    expected=f"{len(names)} of {told.deployment.version} in slot {slot}",
                    seen=f"{len(names) - len(absent)} running: {', '.join(absent)}",
                    repair=StartMissing(deployment=told.deployment),
                )


def _not_it(stands: Standing, seen: Seen, wanted: Route | None) -> Iterator[Drift]:
    for slot in _SLOTS:
        if not (told := stands.slot(slot)):
            continue
        running = _running(seen, slot)
        ours = [running[name] for name in sorted(r.name for r in told.replicas) if name in running]
        wrong = tuple(replica for replica in ours if not _is_it(replica, told))
        right = {replica.name for replica in ours if replica not in wrong}
        left = tuple(e for e in wanted.endpoints(slot) if e.name in right) if wanted else ()
        around = wanted.holding(slot, left) if wanted and left else None
        repair = ReplaceReplicas(deployment=told.deployment, replicas=wrong, around=around)
        for replica in wrong:
            yield from _wrong(replica, told, repair)


def _wrong(replica: Replica, told: Deployed, repair: ReplaceReplicas) -> Iterator[Drift]:
    wanted = told.deployment
    facets: tuple[tuple[Plane, str, str, str, int], ...] = (  # the last: characters that are enough to recognise it
        ("image", "image", wanted.artifact.image, replica.image, 19),
        ("config", "configuration", wanted.config_digest, replica.config_digest, 12),
        ("replicas", "release", wanted.release, replica.release, 60),
    )
    for plane, what, expected, found, enough in facets:
        if expected != found:
            said = (f"{replica.name} of {what} {expected[:enough]}", f"{what} {found[:enough] or 'unknown'}")
            yield Drift(plane=plane, expected=said[0], seen=said[1], repair=repair)


def _traffic(wanted: Route | None, seen: Seen) -> Iterator[Drift]:
    there = seen.route
    if wanted is None and there is not None:
        why = "no release opened it: `interlock orphans` shows what nobody owns"
        yield Drift(plane="route", expected="no route", seen=f"a route {there.name}", reason=why)
    elif wanted is not None and there is None:
        said = f"{wanted.name} on port {wanted.port}"
        yield Drift(plane="route", expected=said, seen="no such route", repair=ApplyRoute(route=wanted))
    elif wanted is not None and there is not None:
        told, found = _facets(wanted), _facets(there)
        differs = [facet for facet in told if told[facet] != found[facet]]
        if differs:
            yield Drift(
                plane="route",
                expected=", ".join(f"{facet} {told[facet]}" for facet in differs),
                seen=", ".join(f"{facet} {found[facet]}" for facet in differs),
                repair=ApplyRoute(route=wanted),
            )


def _facets(route: Route) -> dict[str, str]:
    def places(slot: Slot) -> str:
        named = sorted(f"{e.name} at {e.address}:{e.port}" for e in route.endpoints(slot))
        return " and ".join(named) or "nobody"

    pins = " and ".join(f"{segment} to {slot}" for segment, slot in sorted(route.segments.items()))
    return {
        "green's share": f"{route.green_share / 100:g} %",
        "port": str(route.port),
        "health check": route.health,
        "segments": pins or "none",
        **{f"slot {slot}:": places(slot) for slot in _SLOTS},
    }


def _strays(stands: Standing, seen: Seen) -> Iterator[Drift]:
    ours = {(slot, r.name) for slot in _SLOTS if (told := stands.slot(slot)) for r in told.replicas}
    for replica in sorted(seen.replicas, key=lambda replica: replica.name):
        if (replica.slot, replica.name) in ours:
            continue
        state = "runs" if replica.running else "is there, stopped"
        said = f"{replica.name} ({replica.version or 'no version'}) {state} in slot {replica.slot}"
        newer = replica.token > stands.token
        why = f"its token {replica.token} is newer than any this ledger gave: does another ledger use this engine?"
        yield Drift(
            plane="replicas",
            expected="nothing else",
            seen=said,
            repair=None if newer else StopStray(replica=replica),
            reason=why if newer else "",
        )


def _schema(stands: Standing, seen: Seen) -> Iterator[Drift]:
    told = stands.fingerprint or (stands.serving.fingerprint if stands.serving else None)
    if told and seen.fingerprint != told:
        found = f"fingerprint {seen.fingerprint[:12]}" if seen.fingerprint else "no database"
        yield Drift(plane="schema", expected=f"fingerprint {told[:12]}", seen=found, reason=_HANDS_OFF)
    known, there = set(stands.migrations), set(seen.migrations or ())
    if lost := sorted(known - there):
        said = f"migrations {', '.join(f'{number:04d}' for number in lost)}"
        yield Drift(plane="schema", expected=said, seen="no row of them", reason=_HANDS_OFF)
    if strange := sorted(number for number in there - known if known and number > max(known)):
        said = f"migrations {', '.join(f'{number:04d}' for number in strange)} too"
        yield Drift(plane="schema", expected=f"none after {max(known):04d}", seen=said, reason=_HANDS_OFF)


def _running(seen: Seen, slot: Slot) -> dict[str, Replica]:
    return {r.name: r for r in seen.replicas if r.slot == slot and r.running}


def _is_it(replica: Replica | None, told: Deployed | None) -> bool:
    if replica is None or told is None:
        return False
    wanted = told.deployment
    return (replica.image, replica.config_digest, replica.release) == (
        wanted.artifact.image,
        wanted.config_digest,
        wanted.release,
    )
