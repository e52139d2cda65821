"""The judge's verdicts, reproduced from what it saw: bit for bit, or under another policy."""

from collections.abc import Callable, Sequence

from domain.canary.judge import Judge
from domain.canary.sitting import Sitting
from domain.canary.verdict import Verdict
from domain.facts import Entry, Judged, Looked
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


def replay(entries: Sequence[Entry], seat: Callable[[str], Judge]) -> list[Replayed]:
    """Judge a release's recorded looks again; `entries` are its own looks and verdicts, in order.

    `seat` makes the judge of an environment. `decided` is the look at which this judge would have decided at the same
    share; None: it would still wait.
    """
    told: list[Replayed] = []
    for environment in dict.fromkeys(entry.environment for entry in entries):
        told += _in_one(entries, environment, Sitting(seat(environment)))
    return told


def _in_one(entries: Sequence[Entry], environment: str, sitting: Sitting) -> list[Replayed]:
    told: list[Replayed] = []
    at, second, first, last = -1, 0, None, None
    for fact, verdict in sitting.recall(entries, environment):
        if isinstance(fact, Looked) and verdict:
            if fact.share != at:
                at, second, first = fact.share, 0, None
            second, last = second + 1, verdict
            first = second if first is None and verdict.decision != "continue" else first
        elif isinstance(fact, Judged) and last:
            one = Replayed(
                environment=environment, share=at, second=second, recorded=fact.verdict, now=last, decided=first
            )
            told.append(one)
    return told
