"""The judge's verdicts, reproduced from what it saw: bit for bit, or under another policy."""

from collections.abc import Sequence

from domain.canary.calibration import known
from domain.canary.criteria import Criteria
from domain.canary.judge import Judge
from domain.canary.verdict import Verdict
from domain.facts import Entry, Judged, Looked
from domain.release.recall import earlier_bake
from domain.value import Value


class Replayed(Value):
    """One verdict as it was recorded, and as the same looks give it now; `second` counts looks at this share."""

    environment: str
    share: int
    second: int
    recorded: Verdict
    now: Verdict
    decided: int | None = None

    @property
    def same(self) -> bool:
        """Tell whether every bit is the same. A hold is the end of patience put over a verdict, which is compared."""
        if self.recorded.decision == "hold":
            plain = {"reasons": (), "decision": "hold"}
            return self.recorded.model_copy(update=plain) == self.now.model_copy(update=plain)
        return self.recorded.model_copy(update={"decision": self.now.decision}) == self.now


def replay(entries: Sequence[Entry], release: str, criteria: Criteria) -> list[Replayed]:
    """Judge a release's recorded looks again; `entries` are its service's looks and verdicts, in order.

    `decided` is the look at which this policy would have decided at the same share; None: it would still wait.
    """
    told: list[Replayed] = []
    for environment in dict.fromkeys(e.environment for e in entries if e.release == release):
        here = [e for e in entries if e.environment == environment]
        told += _in_one(here, environment, release, criteria)
    return told


def _in_one(entries: Sequence[Entry], environment: str, release: str, criteria: Criteria) -> list[Replayed]:
    told: list[Replayed] = []
    judge = Judge(criteria, known(earlier_bake(entries, release), "candidate", criteria.spread))
    at, second, first, verdict = -1, 0, None, None
    for entry in entries:
        match entry.fact:
            case Looked(share=share, next_share=following, tick=tick) if entry.release == release:
                if share != at:
                    judge.enter(share, following)
                    at, second, first = share, 0, None
                verdict, second = judge.look(tick), second + 1
                first = second if first is None and verdict.decision != "continue" else first
            case Judged(share=share, verdict=recorded) if entry.release == release and verdict is not None:
                one = Replayed(environment=environment, share=share, second=second, recorded=recorded, now=verdict)
                told.append(one.model_copy(update={"decided": first}))
    return told
