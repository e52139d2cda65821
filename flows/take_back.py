"""The way back, walked: every effect that the journal recorded is undone, then the world is looked at."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from adapters.connect import Desk
from domain.errors import Invalid, Rejected, ReleaseError, Unavailable
from domain.facts import Intended
from domain.ports import Clock
from domain.release import standing
from domain.release.artifact import Deployment
from domain.release.plan import Plan, Settled
from domain.release.recall import plan_of
from domain.release.route import Route, Slot
from domain.release.standing import Standing
from domain.release.way_back import remaining, target_of, way_back
from flows.ramp import endpoints
from flows.report import file_report, tell
from tasks.announce import announce
from tasks.check import check
from tasks.claim import claim
from tasks.deploy import deploy
from tasks.migrate import migrate
from tasks.record import enter, settle
from tasks.retire import retire
from tasks.shift import attach, shift
from tasks.step import Warrant
from tasks.verify import verify

T = TypeVar("T")
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds between two attempts at an undo, which come on top of each step's own: two minutes in all."""

MENDS = 3
"""Times that an undo is tried again although something was rejected."""


def take_back(warrant: Warrant, desk: Desk, reason: str) -> str:
    """Walk the way back that the journal's effects describe, and look at the world at its end."""
    stands, plan = (
        standing_of(warrant, desk),
        plan_of(desk.journal.entries(release=warrant.release, kinds=("planned",))),
    )
    if plan is None:
        raise Invalid(f"release {warrant.release!r} is not in the journal", "`interlock status` lists releases")
    target = target_of(stands, warrant.release)
    enter(warrant, "rolling back", reason)
    try:
        route = patiently(partial(go_back, warrant, target, plan, desk), desk.ports.clock)
    except ReleaseError as error:
        if warrant.lost():
            raise  # whoever took over finishes the undo
        left = remaining(standing_of(warrant, desk), warrant.release, f"{warrant.service} {warrant.environment}")
        enter(warrant, "stuck", f"{error.message}\n{left}")
        announce(warrant, "needs a person", plan, {"reason": f"{error.message}\n{left}"}, desk.post, desk.ports)
        raise
    if stands.serving and stands.serving.deployment.release == warrant.release:
        settle(warrant, _settled_again(target, route))
    announce(warrant, "rolled back", plan, {"reason": reason}, desk.post, desk.ports)
    enter(warrant, "rolled back", reason)  # last: an undo that dies before this is finished, and repeats nothing
    file_report(warrant, desk)
    back = f"{target.deployment.version} serves again" if target else "nothing serves, as before"
    return tell(f"{warrant.service} in {warrant.environment}: {back}. {plan.stage(warrant.environment).way_back.data}.")


def go_back(warrant: Warrant, target: Settled | None, plan: Plan, desk: Desk) -> Route | None:
    """Walk what is left of the way, and look; returns the route at its end."""
    recall_schema(warrant, plan, desk)
    stands = standing_of(warrant, desk)
    route = walk(warrant, stands, plan, desk)
    claim(warrant, desk.ports, insist=True)
    confirm(warrant, target, route, stands.fingerprint, desk)
    return route


def recall_schema(warrant: Warrant, plan: Plan, desk: Desk) -> None:
    """Write down each migration that was applied, also where the run died before it could say so: it stays."""
    if database := desk.ports.databases.get(warrant.environment):
        applied = {row.number for row in database.applied()}
        for item in plan.stage(warrant.environment).schema_steps:
            if item.number in applied:
                migrate(warrant, plan, item, database)


def patiently(attempt: Callable[[], T], clock: Clock) -> T:
    """Try an undo again, with growing pauses, while something does not answer.

    A replica that was rejected is asked a few times more, too: its own connections may just have been cut.
    """
    for number, pause in enumerate(PAUSES):
        try:
            return attempt()
        except Unavailable:
            clock.sleep(pause)
        except Rejected:
            if number == MENDS:
                raise
            clock.sleep(pause)
    return attempt()


def traffic_first(warrant: Warrant, desk: Desk) -> None:
    """Give the traffic back at once where the old version still runs; the walk finds it done.

    Starting a subflow takes about a second, and users need not wait for it. What fails here the walk tries again.
    """
    stands = standing_of(warrant, desk)
    first = next(iter(way_back(stands, warrant.release)), None)
    if first and first.verb == "shift" and first.slot and stands.route:
        with suppress(ReleaseError):
            shift(warrant, stands.route.giving(first.slot, 10_000), desk.ports.router)


def walk(warrant: Warrant, stands: Standing, plan: Plan, desk: Desk) -> Route | None:
    """Undo effect after effect; returns the route as it is then."""
    route, ports = stands.route, desk.ports
    for undo in way_back(stands, warrant.release, _begun(warrant, plan, desk)):
        if undo.verb == "restore" and undo.deployment and route:
            again = deploy(warrant, undo.deployment, ports)
            for name, asked in plan.stage(warrant.environment).checks.items():
                check(warrant, name, asked, again.deployment, again.replicas, ports)
            held_by = route.holding(undo.deployment.slot, endpoints(again.replicas))
            route = attach(warrant, held_by, ports.router).route
        elif undo.verb == "shift" and undo.slot and route:
            route = shift(warrant, route.giving(undo.slot, 10_000), ports.router).route
        elif undo.verb == "retire" and undo.slot:
            route = retire(
                warrant, route, undo.slot, plan.runtime.drain, warrant.service, ports.router, ports.workload
            ).route
    return route


def confirm(warrant: Warrant, target: Settled | None, route: Route | None, fingerprint: str | None, desk: Desk) -> None:
    """Look at all planes from outside."""
    serving = _placed(target, route) if target and route else None
    verify(
        warrant,
        serving.version if serving else "nothing",
        serving.artifact.image if serving else None,
        serving.slot if serving else None,
        route,
        fingerprint,
        desk.ports,
    )


def standing_of(warrant: Warrant, desk: Desk) -> Standing:
    """Fold what stands in the environment by the journal; a first route that it does not know of is looked for."""
    stands = standing.fold(desk.journal.entries(service=warrant.service, environment=warrant.environment))
    if stands.route:
        return stands
    return stands.model_copy(update={"route": desk.ports.router.observe(f"{warrant.service}-{warrant.environment}")})


def _settled_again(target: Settled | None, route: Route | None) -> Settled | None:
    return (
        target.model_copy(update={"way": "rollback", "deployment": _placed(target, route)})
        if target and route
        else None
    )


def _placed(target: Settled, route: Route) -> Deployment:
    """Say in which slot the version that serves again is."""
    return target.deployment.model_copy(update={"slot": route.leading})


def _begun(warrant: Warrant, plan: Plan, desk: Desk) -> Slot | None:
    """Tell into which slot the release began to deploy here; None when it did not get that far."""
    entries = desk.journal.entries(release=warrant.release, environment=warrant.environment, kinds=("intended",))
    began = any(isinstance(entry.fact, Intended) and entry.fact.verb == "deploy" for entry in entries)
    return plan.stage(warrant.environment).slot if began else None
