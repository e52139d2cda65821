"""`interlock approve`: read what is asked, decide, sign."""

import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer
from rich.console import Console

from adapters.connect import House, open_house
from adapters.system_clock import SystemClock
from cli import options, runs, show
from cli.find import oneself, story_of, waiting, who_may
from cli.plan_sheet import head, one_stage, proven
from cli.sign import sign
from domain.environment.drift import report_hash
from domain.errors import Conflict, Invalid, ReleaseError
from domain.facts import Compared, Entry, Opened
from domain.policy.approval import Gate, Quorum, Statement, admit, quorum
from domain.policy.people import Person
from domain.release.recall import approvals_of, comparison_of, phase_of, plan_of, proofs_of
from tasks.approve import expiry, hand_in

app = typer.Typer(add_completion=False)
_PAUSE, _TRIES = 0.5, 20  # between a release's word that it waits and the question itself lie some milliseconds


@app.command(epilog="Example: `interlock approve shop-v1.1.0-3f9c01 --as ada --key ~/.ssh/id_ed25519`")
def approve(
    release: options.Release,
    myself: options.Myself = "",
    key: options.Key = None,
    reject: Annotated[bool, typer.Option("--reject", help="Say no: the release is aborted.")] = False,
    to_paste: Annotated[bool, typer.Option("--print", help="Only print the text to paste into the form.")] = False,
    yes: options.Yes = False,
    environment: Annotated[str, typer.Option(help="Insist that this environment is asked about.")] = "",
) -> None:
    """Sign your decision on what waits for people.

    Shows what you sign: the change in this environment, who signed already and who is missing. A signature is about
    exactly this plan, these bytes and this question; change anything and it is worth nothing.
    """
    house = open_house()
    entries, gate = _question(house, release, environment)
    person = oneself(myself, house.people)
    patience = _show(house, entries, gate, show.err if to_paste else show.out)
    decision: Literal["approve", "reject"] = "reject" if reject else "approve"
    if not yes:
        typer.confirm(f"{person.name}: {decision} {gate.question!r} in {gate.environment}?", abort=True, err=to_paste)
    approval = sign(_statement(gate, decision, person, patience), person, key)
    if to_paste:
        admit(approval, gate, house.people, _now())
        print(approval.text, end="")
        return
    hand_in(approval, gate, house.people, house.journal, SystemClock())
    show.say(f"{person.name} signed {decision}, plan {gate.plan[:12]}, {gate.environment}", "green")
    counted = _count(house, release, gate)
    if counted.reached or counted.rejected_by:
        _wake(house, release, entries)
    else:
        _say_missing(gate, counted, house, show.out)


def _question(house: House, release: str, environment: str) -> tuple[tuple[Entry, ...], Gate]:
    """Find the open gate of a release; one that has just come to it is given a moment to ask."""
    for _ in range(_TRIES):
        entries = story_of(house.journal, release)
        gate, phase = waiting(entries), phase_of(entries)
        if gate or phase != "awaiting approval":
            break
        time.sleep(_PAUSE)
    if gate is None:
        raise Invalid(
            f"{release} does not wait for anybody: it is {phase or 'not planned'}", f"interlock explain {release}"
        )
    if environment not in ("", gate.environment):
        raise Invalid(f"{release} asks about {gate.environment}, not {environment}", "leave out --environment")
    return entries, gate


def _statement(gate: Gate, decision: Literal["approve", "reject"], person: Person, counts_for: float) -> Statement:
    return Statement(
        release=gate.release,
        service=gate.service,
        environment=gate.environment,
        question=gate.question,
        plan=gate.plan,
        digest=gate.digest,
        decision=decision,
        approver=person.name,
        nonce=secrets.token_hex(16),
        expires=expiry(counts_for, SystemClock()).replace(microsecond=0),
    )


def _show(house: House, entries: Sequence[Entry], gate: Gate, console: Console) -> float:
    """Show what a signature would be about, and how far the gate is; returns for how many seconds it would count.

    Raises Conflict when the journal holds another plan, or other differences, than the gate is about.
    """
    plan, compared = plan_of(entries), comparison_of(entries)
    if plan and plan.hash == gate.plan:
        head(plan, console)
        stage = plan.stage(gate.environment)
        one_stage(plan, stage, console)
        done = house.journal.entries(service=gate.service, environment=gate.environment, kinds=("done",))
        for proof in proofs_of(done)[-1:] if stage.schema_steps else ():
            proven(proof, console)
        patience = stage.profile.approval_expires
    elif compared and report_hash(compared.drifts) == gate.plan:
        rows = [drift.row for drift in compared.drifts]
        show.table("differences", tuple(rows[0]), [tuple(row.values()) for row in rows], console=console)
        patience = house.catalog.environment(gate.environment).approval_expires
    else:
        raise Conflict(f"{gate.release}: the plan in the journal is not the one in question", "run `interlock verify`")
    show.say(f"plan {gate.plan}\nimage {gate.digest}\nasked: {gate.question}?", console=console)
    _say_missing(gate, quorum(approvals_of(entries), gate, house.people, _now()), house, console)
    return patience


def _say_missing(gate: Gate, counted: Quorum, house: House, console: Console) -> None:
    for seat, name in counted.filled.items():
        show.say(f"  ✓ {seat.partition(': ')[2]}: {name}", "green", console)
    if counted.rejected_by:
        show.say(f"  ✗ rejected by {counted.rejected_by}", "red", console)
    for roles, names in who_may(gate, counted, house.people):
        show.say(f"  … {roles}: missing; {' or '.join(names) or 'nobody is left who may'}", "yellow", console)


def _count(house: House, release: str, gate: Gate) -> Quorum:
    entries = house.journal.entries(release=release, kinds=("approved",))
    return quorum(approvals_of(entries), gate, house.people, _now())


def _wake(house: House, release: str, entries: Sequence[Entry]) -> None:
    """Wake the run that waits; one that cannot be woken finds the signatures in the journal whenever it comes back."""
    first = next(entry.fact.run for entry in entries if isinstance(entry.fact, Opened | Compared))
    try:
        url = runs.wake(release, first, house.settings.prefect)
    except ReleaseError as error:
        show.say("the decision is recorded, and will be found when the release is entered again", "yellow")
        show.say(f"its run was not woken: {error.message}")
        if plan_of(entries):
            show.say(f"→ interlock release {entries[0].service} --resume {release}")
    else:
        show.say(f"its run goes on: {url}")


def _now() -> datetime:
    return datetime.fromtimestamp(SystemClock().now(), UTC)
