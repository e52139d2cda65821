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
from domain.release.recall import holds_of
from domain.release.route import Endpoint, Route, other
from flows.gate import ask
from flows.report import file_report
from tasks.approve import gate_of
from tasks.judge import bake, judge
from tasks.record import enter
from tasks.shift import attach, shift
from tasks.step import Warrant


def ramp(warrant: Warrant, plan: Plan, stage: Stage, candidate: Deployed, artifact: Artifact, desk: Desk) -> Route:
    """Give the candidate all traffic, step by step, and watch it there; returns the final route.

    Raises Rejected when the judge rolls back, Refused when people reject going on after a hold.
    """
    now = attach(warrant, introduce(warrant, stage, candidate, plan.runtime.health, desk), desk.ports.router).route
    ask_for = partial(gate_of, warrant, plan, stage, artifact)
    for share, following in zip(stage.ramp, (*stage.ramp[1:], 0), strict=True):
        now = shift(warrant, now.giving(stage.slot, share), desk.ports.router).route
        if stage.judged and following:
            watch = partial(judge, warrant, plan, stage, share=share, following=following)
            now = patiently(watch, share, now, ask_for(f"go on at {share / 100:g} %"), warrant, plan, stage, desk)
    enter(warrant, "baking")
    if stage.judged:
        watch = partial(bake, warrant, plan, stage)
        now = patiently(watch, stage.ramp[-1], now, ask_for("go on baking"), warrant, plan, stage, desk)
        file_report(warrant, desk)
    if stage.ramp[-1] < 10_000:  # what was held back for the comparison follows at last
        now = shift(warrant, now.giving(stage.slot, 10_000), desk.ports.router).route
    return now


def patiently(
    watch: Callable[..., Verdict],
    share: int,
    route: Route,
    gate: Gate,
    warrant: Warrant,
    plan: Plan,
    stage: Stage,
    desk: Desk,
) -> Route:
    """Watch; where the judge holds, take out the replica it names, and ask people whether to watch on.

    On re-entry nobody watches on before every hold in the journal was answered. Without seats there is nobody to ask.
    Returns the route, perhaps with fewer replicas of the candidate.
    """
    entries = desk.journal.entries(release=warrant.release, kinds=("judged",))
    held, extra = holds_of(entries, stage.environment, share), 0
    while True:
        verdict = held[extra] if extra < len(held) else watch(route=route, router=desk.ports.router, extra=extra)
        if verdict.decision != "hold":
            return route
        if not gate.seats:
            raise Rejected(f"the judge holds and nobody is declared to decide: {verdict.reasons[0]}")
        if verdict.host in {endpoint.name for endpoint in route.endpoints(stage.slot)}:
            route = attach(warrant, route.without(stage.slot, verdict.host), desk.ports.router).route
        file_report(warrant, desk)
        extra += 1
        ask(warrant, gate.model_copy(update={"question": f"{gate.question}, {extra}"}), plan, stage, desk)


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
