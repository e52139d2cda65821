"""What a release has already been through, read back from its entries."""

from collections.abc import Iterable

from domain.canary.tick import Tick
from domain.canary.verdict import Verdict
from domain.facts import (
    Approved,
    Compared,
    Done,
    Entered,
    Entry,
    GateOpened,
    Judged,
    Looked,
    NotCounted,
    Opened,
    Phase,
    Planned,
)
from domain.policy.approval import Approval, Gate
from domain.release.artifact import Artifact
from domain.release.plan import Plan, Request
from domain.schema.proof import Proven


def plan_of(entries: Iterable[Entry]) -> Plan | None:
    """Find the plan of a release: the last one, as it may have been drawn up again when its turn came."""
    return next((e.fact.plan for e in reversed(list(entries)) if isinstance(e.fact, Planned)), None)


def request_of(entries: Iterable[Entry]) -> Request | None:
    """Find what was asked for."""
    return next((e.fact.request for e in entries if isinstance(e.fact, Opened)), None)


def comparison_of(entries: Iterable[Entry]) -> Compared | None:
    """Find what a reconciliation saw last; None: it is no reconciliation."""
    return next((e.fact for e in reversed(list(entries)) if isinstance(e.fact, Compared)), None)


def artifact_of(entries: Iterable[Entry]) -> Artifact | None:
    """Find what a release published."""
    return next(
        (
            Artifact.model_validate(e.fact.outcome)
            for e in entries
            if isinstance(e.fact, Done) and e.fact.verb == "publish"
        ),
        None,
    )


def proofs_of(entries: Iterable[Entry]) -> list[Proven]:
    """List the proofs of a way back that hold, in order."""
    return _proven(entries, "prove")


def walks_of(entries: Iterable[Entry]) -> list[Proven]:
    """List every time that a way back was walked, before a release or in a drill, in order."""
    return _proven(entries, "prove", "drill")


def _proven(entries: Iterable[Entry], *verbs: str) -> list[Proven]:
    return [Proven.model_validate(e.fact.outcome) for e in entries if isinstance(e.fact, Done) and e.fact.verb in verbs]


def phase_of(entries: Iterable[Entry]) -> Phase | None:
    """Find the phase a release is in."""
    return next((e.fact.phase for e in reversed(list(entries)) if isinstance(e.fact, Entered)), None)


def entered(entries: Iterable[Entry], phase: Phase, environment: str) -> Entry | None:
    """Find when a release reached a phase in an environment."""
    return next(
        (e for e in entries if isinstance(e.fact, Entered) and (e.fact.phase, e.environment) == (phase, environment)),
        None,
    )


def approvals_of(entries: Iterable[Entry]) -> list[Approval]:
    """List every signed statement, in order."""
    return [e.fact.approval for e in entries if isinstance(e.fact, Approved)]


def open_gate(entries: Iterable[Entry]) -> Gate | None:
    """Find the gate at which a release waits: the last one opened."""
    return next((e.fact.gate for e in reversed(list(entries)) if isinstance(e.fact, GateOpened)), None)


def round_of(entries: Iterable[Entry], gate: Gate) -> tuple[int, bool]:
    """Tell the latest round of a gate and whether it was answered; (0, True) before the first."""
    number, answered = 0, True
    for entry in entries:
        match entry.fact:
            case GateOpened(gate=opened, round=this) if opened == gate:
                number, answered = this, False
            case Approved(round=this, approval=approval) if approval.statement.question == gate.question:
                answered = answered or this == number
            case NotCounted(round=this, question=question) if question == gate.question:
                answered = answered or this == number
    return number, answered


def bake_of(entries: Iterable[Entry], environment: str) -> list[Tick]:
    """List what was seen of a release while it baked in an environment: a bake leads to no other share."""
    return [tick for share, following, tick in looks_of(entries, environment) if share == following]


def holds_of(entries: Iterable[Entry], environment: str, share: int) -> list[Verdict]:
    """List the verdicts with which the judge held at one share of an environment."""
    return [
        e.fact.verdict
        for e in entries
        if isinstance(e.fact, Judged)
        and e.environment == environment
        and e.fact.share == share
        and e.fact.verdict.decision == "hold"
    ]


def good_bakes(entries: Iterable[Entry], release: str) -> list[Tick]:
    """List what was seen of all bakes that ended well before a release began to be watched."""
    good: list[Tick] = []
    now: list[Tick] = []
    for entry in entries:
        if entry.release == release:
            break
        match entry.fact:
            case Looked(share=share, next_share=following, tick=tick):
                now.append(tick) if share == following else now.clear()
            case Judged(verdict=verdict):
                good += now if verdict.decision == "promote" else []
                now = []
    return good


def traffic_of(entries: Iterable[Entry]) -> float:
    """Tell how many requests a second were last seen, over five minutes of looks; 0: none."""
    ticks = [entry.fact.tick for entry in entries if isinstance(entry.fact, Looked)][-300:]
    return sum(sum(tick.total("candidate")[:1] + tick.total("stable")[:1]) for tick in ticks) / max(1, len(ticks))


def looks_of(entries: Iterable[Entry], environment: str) -> list[tuple[int, int, Tick]]:
    """List the judge's looks in an environment: (share, next share, tick)."""
    return [
        (e.fact.share, e.fact.next_share, e.fact.tick)
        for e in entries
        if isinstance(e.fact, Looked) and e.environment == environment
    ]
