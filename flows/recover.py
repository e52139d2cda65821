"""See to one release whose run may be gone: take it over, decide, and set on its way what was decided."""

from dataclasses import replace

from adapters.connect import Desk, House, connect
from domain.facts import Recovered
from domain.lease import carrier_of
from domain.release.notice import Occasion
from domain.release.recall import phase_of, plan_of, request_of
from domain.release.recovery import HANDED_OVER, Decision, decide
from domain.release.state import ReleaseState
from flows import dispatch
from flows.hold import PARK
from flows.lost import fate_of, run_of
from tasks.announce import announce
from tasks.claim import claim
from tasks.record import enter
from tasks.step import Warrant

HAND_OVER = 120.0
"""Seconds that a new run has to take the release from the sweep; then it counts as lost again."""


def recover(state: ReleaseState, house: House) -> dict[str, str] | None:
    """Take over a release that nobody carries any more, decide what becomes of it, and say so; None: it is carried."""
    if (fate := fate_of(state, house)) is None:
        return None
    run, ttl = run_of(state, house), house.settings.lease.ttl
    carrier = house.leases.holder(state.service, carrier_of(state.release))
    dark = max(0.0, ttl - carrier.expires_in) if carrier else 0.0
    entries = house.journal.entries(release=state.release)
    decision = decide(entries, fate, dark, house.settings.recovery)
    lease = house.leases.take(
        state.service,
        carrier_of(state.release),
        state.release + HANDED_OVER,
        f"{decision.action}: {decision.reason}",
        HAND_OVER,
        force=True,
    )
    warrant = Warrant(
        journal=house.journal,
        leases=house.leases,
        release=state.release,
        service=state.service,
        actor="interlock",
        carrier=lease,
    )
    warrant.record(Recovered(lost=run, fate=fate, action=decision.action, reason=decision.reason))
    word = f"{state.release}: this run {fate}. Decided: {decision.action} – {decision.reason}."
    dispatch.leave_word(run, word)
    follower = act(warrant, decision, connect(state.service, house))
    return {
        "release": state.release,
        "fate": fate,
        "decision": decision.action,
        "why": decision.reason,
        "run": follower,
    }


def act(warrant: Warrant, decision: Decision, desk: Desk) -> str:
    """Do what was decided; returns the run that carries on, empty when none is needed."""
    entries = warrant.journal.entries(release=warrant.release, kinds=("opened", "planned"))
    match decision.action:
        case "go on":
            request = request_of(entries)
            wanted = request.model_dump(include={"service", "ref", "requester", "reason"}) if request else {}
            to = {"to": request.environments[-1]} if request else {}
            return dispatch.start("release/interlock", {**wanted, **to, "resume": warrant.release})
        case "undo":
            where = {"service": warrant.service, "environment": decision.environment, "release": warrant.release}
            return dispatch.start("rollback/interlock", {**where, "reason": decision.reason})
        case "abort":
            _say(warrant, "aborted", decision, desk)
            _let_go(warrant, desk)
            enter(warrant, "aborted", decision.reason)
        case "hold":
            _say(warrant, "needs a person", decision, desk)
            _keep(warrant, decision, desk)
    if warrant.carrier:
        desk.leases.give_back(warrant.carrier)
    return ""


def _let_go(warrant: Warrant, desk: Desk) -> None:
    """Free the environments that the lost run still holds, parked at a gate."""
    for environment in desk.environments:
        held = desk.leases.holder(warrant.service, environment)
        if held and held.release == warrant.release:
            desk.leases.give_back(held)


def _keep(warrant: Warrant, decision: Decision, desk: Desk) -> None:
    """Hold the environment for a person, with the reason."""
    owner = f"{warrant.release}/waits for a person"
    held = desk.leases.take(warrant.service, decision.environment, owner, decision.reason, PARK, force=True)
    claim(replace(warrant, lease=held), desk.ports)
    if phase_of(warrant.journal.entries(release=warrant.release, kinds=("entered",))) != "stuck":
        enter(warrant, "stuck", decision.reason)


def _say(warrant: Warrant, occasion: Occasion, decision: Decision, desk: Desk) -> None:
    plan = plan_of(warrant.journal.entries(release=warrant.release, kinds=("planned",)))
    if plan:
        announce(warrant, occasion, plan, {"reason": decision.reason}, desk.post, desk.ports)
