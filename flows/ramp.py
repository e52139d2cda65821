"""Lead traffic to the candidate, share by share, as far as the evidence carries."""

from collections.abc import Callable
from functools import partial

from adapters.connect import Desk
from domain.canary.verdict import Verdict
from domain.errors import Rejected
from domain.facts import Done
from domain.policy.approval import Gate
from domain.release import standing
from domain.release.artifact import Artifact, Replica
from domain.release.outcomes import Deployed, Routed
from domain.release.plan import Plan, Stage
from domain.release.route import Endpoint, Route, other
from flows.gate import ask
from tasks.approve import gate_of
from tasks.judge import bake, judge
from tasks.record import enter
from tasks.shift import attach, shift
from tasks.step import Warrant


def ramp(warrant: Warrant, plan: Plan, stage: Stage, candidate: Deployed, artifact: Artifact, desk: Desk) -> Route:
    """Give the candidate all traffic, step by step, and watch it there; returns the final route.

    Raises Rejected when the judge rolls back, Refused when people reject going on after a hold.
    """
    router = desk.ports.router
    route = attach(warrant, introduce(warrant, stage, candidate, plan.runtime.health, desk), router).route
    for share, following in zip(stage.ramp, (*stage.ramp[1:], 10_000), strict=True):
        now = shift(warrant, route.giving(stage.slot, share), router).route
        if stage.judged and share < 10_000:
            watch = partial(judge, warrant, plan, stage, now, share, following, router)
            patiently(
                watch,
                gate_of(warrant, plan, stage, artifact, f"go on at {share / 100:g} %"),
                warrant,
                plan,
                stage,
                desk,
            )
    enter(warrant, "baking")
    if stage.judged:
        watch = partial(bake, warrant, plan, stage, now, router)
        patiently(watch, gate_of(warrant, plan, stage, artifact, "go on baking"), warrant, plan, stage, desk)
    return now


def patiently(
    watch: Callable[..., Verdict], gate: Gate, warrant: Warrant, plan: Plan, stage: Stage, desk: Desk
) -> None:
    """Watch; where the judge holds, ask people whether to watch on. Without seats there is nobody to ask."""
    extra = 0
    while (verdict := watch(extra=extra)).decision == "hold":
        if not gate.seats:
            raise Rejected(f"the judge holds and nobody is declared to decide: {verdict.reasons[0]}")
        asked = gate.model_copy(update={"question": f"{gate.question}, {extra + 1}"})
        ask(warrant, asked, plan, stage, desk)
        extra += 1


def introduce(warrant: Warrant, stage: Stage, candidate: Deployed, health: str, desk: Desk) -> Route:
    """Compose the route with both versions on it and all traffic where it was; the recorded one on re-entry."""
    entries = desk.journal.entries(service=warrant.service, environment=stage.environment)
    for entry in entries:
        if entry.release == warrant.release and isinstance(entry.fact, Done) and entry.fact.verb == "attach":
            return Routed.model_validate(entry.fact.outcome).route
    stands = standing.fold(entries)
    old = stands.slot(other(stage.slot))
    route = Route(
        name=f"{warrant.service}-{stage.environment}",
        port=stage.port,
        health=health,
        segments=stands.route.segments if stands.route else {},
    )
    keeper = other(stage.slot) if old else stage.slot
    return (
        route.holding(stage.slot, endpoints(candidate.replicas))
        .holding(other(stage.slot), endpoints(old.replicas if old else ()))
        .giving(keeper, 10_000)
    )


def endpoints(replicas: tuple[Replica, ...]) -> tuple[Endpoint, ...]:
    """Name replicas as the router addresses and reports them: in order of name."""
    ordered = sorted(replicas, key=lambda replica: replica.name)
    return tuple(Endpoint(name=r.name, address=r.address, port=r.port) for r in ordered)
