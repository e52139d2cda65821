"""Wait for people. The pause is only a waiting room: what counts are the signatures in the journal."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from pydantic import Field, ValidationError

from adapters.connect import Desk
from domain.policy.approval import Gate, seats_text
from domain.release.artifact import Artifact
from domain.release.diff import markdown
from domain.release.plan import Plan, Stage
from domain.release.recall import entered
from flows.proof import proof_shown
from tasks.announce import announce
from tasks.approve import count, gate_of, open_round, receive
from tasks.record import enter
from tasks.step import Permit, Warrant


class SignedApproval(RunInput):
    """What the resume dialog asks for."""

    signed: str = Field(
        default="",
        title="Signed approval",
        description="All that `interlock approve RELEASE --print` printed; empty after a plain `interlock approve`.",
    )


def approve(warrant: Warrant, plan: Plan, stage: Stage, artifact: Artifact, desk: Desk) -> Warrant:
    """Get the stage approved; returns the authority that carries the permit. Stages without seats need none."""
    if not stage.profile.seats:
        return warrant
    gate = gate_of(warrant, plan, stage, artifact)
    entries = desk.journal.entries(release=warrant.release, kinds=("entered",))
    if entered(entries, "approved", stage.environment) is None:
        enter(warrant, "awaiting approval")
        ask(warrant, gate, plan, stage, desk)
        enter(warrant, "approved")
        entries = desk.journal.entries(release=warrant.release, kinds=("entered",))
    passed = entered(entries, "approved", stage.environment)
    at = datetime.fromisoformat(passed.at) if passed else datetime.fromtimestamp(desk.ports.clock.now(), UTC)
    return replace(warrant, permit=Permit(gate=gate, people=desk.people, passed_at=at))


def ask(warrant: Warrant, gate: Gate, plan: Plan, stage: Stage, desk: Desk) -> None:
    """Suspend until every seat of a release's gate is filled; raises Refused when somebody rejects."""
    about = {"question": gate.question}
    call = partial(announce, warrant, "approval needed", plan, about, desk.post, desk.ports)
    wait(warrant, gate, markdown(plan) + proof_shown(warrant, stage, desk), stage.profile.approval_expires, call, desk)


def wait(warrant: Warrant, gate: Gate, shown: str, patience: float, call: Callable[[], None], desk: Desk) -> None:
    """Suspend until every seat of the gate is filled by a signature; each resume only looks again.

    `shown` is what is decided about, as Markdown; `call` tells people of a new round; `patience` in seconds. Raises
    Refused when somebody rejects.
    """
    clock, people = desk.ports.clock, desk.people
    while (counted := count(warrant, gate, people, clock)).missing:
        number, new = open_round(warrant, gate)
        if new:
            call()
        waits_for = f"## Waiting for {seats_text(counted.missing)}\n\n{gate.question} in **{gate.environment}**\n\n"
        how = f"Run `interlock approve {warrant.release}`, or paste a signed approval below.\n\n"
        form = SignedApproval.with_initial_data(description=waits_for + how + shown)
        key = re.sub("[^a-z0-9]+", "-", f"{gate.question} {gate.environment} {gate.plan[:12]} {number}")
        try:
            answer = suspend_flow_run(form, timeout=int(patience), key=key)
            text = answer.signed
        except (ObjectNotFound, ValidationError):
            text = ""  # resumed by force or with a forged form: back to waiting
        receive(warrant, gate, number, text, people, clock)
