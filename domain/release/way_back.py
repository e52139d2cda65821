"""The way back, computed from what stands: traffic first, then workload; the schema stays where that is safe."""

from typing import Literal

from domain.errors import Refused
from domain.release.artifact import Deployment
from domain.release.outcomes import Deployed
from domain.release.plan import Settled
from domain.release.route import Route, Slot, other
from domain.release.standing import Standing
from domain.value import Value


class Undo(Value):
    """One step of the way back."""

    verb: Literal["restore", "shift", "retire"]
    deployment: Deployment | None = None
    slot: Slot | None = None
    says: str


def way_back(standing: Standing, release: str, begun: Slot | None = None) -> tuple[Undo, ...]:
    """List the steps that take a release out of an environment again, in the order they must happen.

    `begun` is the slot into which the release began to deploy: replicas that never became ready are not in the
    standing, and are retired all the same.

    While the release is under way the previous version still runs: traffic goes back in one command, then the
    candidate is retired. Once it has settled, the version before it is started again from its digest first. Where
    nothing served before, the candidate is simply retired. An empty tuple: the release never touched traffic or
    workload here.
    """
    target = target_of(standing, release)
    candidate = _slot_of(standing, release)
    if candidate is None:
        unready = begun if begun and standing.slot(begun) is None else None
        return (Undo(verb="retire", slot=unready, says=f"remove what began in slot {unready}"),) if unready else ()
    if target is None:
        return (Undo(verb="retire", slot=candidate, says=f"retire slot {candidate}: nothing served here before"),)
    steps: list[Undo] = []
    back = other(candidate)
    kept = standing.slot(back)
    reachable = kept is not None and _reaches(standing.route, kept)
    there = kept is not None and kept.deployment.release == target.deployment.release and standing.emptying != back
    if not (there and reachable):
        again = target.deployment.model_copy(update={"slot": back})
        steps.append(
            Undo(verb="restore", deployment=again, says=f"start {again.version} in slot {back} from its digest")
        )
    steps.append(Undo(verb="shift", slot=back, says=f"give slot {back} ({target.deployment.version}) all traffic"))
    steps.append(Undo(verb="retire", slot=candidate, says=f"drain and stop slot {candidate}"))
    return tuple(steps)


def remaining(standing: Standing, release: str, where: str) -> str:
    """Say in what state each plane was left by the journal, which steps of the way back remain, and how to take them.

    `where` is "SERVICE ENVIRONMENT", as the command wants it.
    """
    route = standing.route
    slots: tuple[Slot, ...] = ("blue", "green")
    there = {slot: held for slot in slots if (held := standing.slot(slot))}
    share = ", ".join(f"{slot} {route.share(slot) / 100:g} %" for slot in there) if route else "no route"
    code = ", ".join(f"{held.deployment.version} in {slot} × {len(held.replicas)}" for slot, held in there.items())
    lines = [
        f"traffic: {share or 'no slot is filled'}",
        f"code and config: {code or 'nothing runs'}",
        f"data: schema {(standing.fingerprint or 'none')[:12]}, it stays as it is",
    ]
    steps = way_back(standing, release)
    lines += [f"left to do {number}: {undo.says}" for number, undo in enumerate(steps, start=1)]
    return "\n".join([*lines, f"once it is mended, this walks what is left: interlock rollback {where} --reason …"])


def target_of(standing: Standing, release: str) -> Settled | None:
    """Find what served before a release; None when nothing did."""
    return next((s for s in reversed(standing.settled) if s.deployment.release != release), None)


def insist_reversible(standing: Standing, service: str, environment: str) -> str:
    """Name the release an operator's rollback would take out; raises Refused when there is none to go back to."""
    if standing.serving is None:
        raise Refused(f"{service} in {environment}: nothing was ever released here")
    if standing.serving.way == "rollback":
        raise Refused(
            f"{service} in {environment} was just rolled back to {standing.serving.deployment.version}",
            "to go further back, release that version's tag",
        )
    release = standing.serving.deployment.release
    if target_of(standing, release) is None:
        raise Refused(f"{service} in {environment}: {release} is the first release; there is no version before it")
    return release


def _reaches(route: Route | None, kept: Deployed) -> bool:
    """Tell whether a route leads to these very replicas: an undo may have been cut off after it had started them."""
    led_to = {(it.name, it.address) for it in route.endpoints(kept.deployment.slot)} if route else set()
    return bool(led_to) and led_to <= {(it.name, it.address) for it in kept.replicas}


def _slot_of(standing: Standing, release: str) -> Slot | None:
    slots: tuple[Slot, ...] = ("blue", "green")
    return next((s for s in slots if (d := standing.slot(s)) is not None and d.deployment.release == release), None)
