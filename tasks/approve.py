"""Gates: open them, take answers, count them."""

from datetime import UTC, datetime, timedelta

from domain.errors import Refused
from domain.facts import Approved, GateOpened, NotCounted
from domain.policy.approval import Approval, Gate, Quorum, admit, quorum
from domain.policy.people import People
from domain.policy.rules import barred
from domain.ports import Clock, Journal
from domain.release.artifact import Artifact
from domain.release.plan import Plan, Stage
from domain.release.recall import approvals_of, round_of
from tasks.step import Warrant, note


def gate_of(warrant: Warrant, plan: Plan, stage: Stage, artifact: Artifact, question: str = "release") -> Gate:
    """Describe exactly what is asked: this plan, these bytes, this environment, this question."""
    return Gate(
        release=warrant.release,
        service=plan.service,
        environment=stage.environment,
        question=question,
        plan=plan.hash,
        digest=artifact.digest,
        seats=stage.profile.seats,
        barred=barred(plan),
    )


@note
def count(warrant: Warrant, gate: Gate, people: People, clock: Clock) -> Quorum:
    """Count the signed approvals in the journal. Raises Refused when somebody rejected."""
    entries = warrant.journal.entries(release=warrant.release, kinds=("approved",))
    counted = quorum(approvals_of(entries), gate, people, datetime.fromtimestamp(clock.now(), UTC))
    if counted.rejected_by:
        raise Refused(f"{counted.rejected_by} rejected: {gate.question} in {gate.environment}", "plan a new release")
    return counted


@note
def open_round(warrant: Warrant, gate: Gate) -> tuple[int, bool]:
    """Return the round to wait in, and whether it is new; a round that nobody answered stays open."""
    number, answered = round_of(warrant.journal.entries(release=warrant.release), gate)
    if not answered:
        return number, False
    warrant.record(GateOpened(gate=gate, round=number + 1))
    return number + 1, True


@note
def receive(warrant: Warrant, gate: Gate, number: int, text: str, people: People, clock: Clock) -> None:
    """Take what came through the Prefect form: record a signed approval that counts, or why it does not."""
    try:
        if not text.strip():
            raise Refused("resumed without a signed approval")
        hand_in(Approval.read(text), gate, people, warrant.journal, clock, number)
    except Refused as error:
        warrant.record(NotCounted(question=gate.question, reason=error.message, round=number))


def hand_in(approval: Approval, gate: Gate, people: People, journal: Journal, clock: Clock, number: int = 0) -> None:
    """Record one signed approval or rejection. Raises Refused when it does not count."""
    entries = journal.entries(release=gate.release, kinds=("approved",))
    spent = [earlier.statement.nonce for earlier in approvals_of(entries)]
    person = admit(approval, gate, people, datetime.fromtimestamp(clock.now(), UTC), spent)
    journal.append(
        Approved(approval=approval, round=number),
        actor=person.name,
        release=gate.release,
        service=gate.service,
        environment=gate.environment,
    )


def expiry(gate_seconds: float, clock: Clock) -> datetime:
    """Tell until when a signature given now counts."""
    return datetime.fromtimestamp(clock.now(), UTC) + timedelta(seconds=gate_seconds)
