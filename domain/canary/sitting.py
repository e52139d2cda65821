"""A judge at work, fed in the journal's order: live, after a restart, or years later, it comes to the same verdicts."""

from collections.abc import Iterable, Iterator

from domain.canary.judge import Judge
from domain.canary.tick import Tick
from domain.canary.verdict import Verdict
from domain.facts import Entry, Judged, Looked


class Sitting:
    """One release in one environment. Nobody looks on after a hold before people said so: that overrules it."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._held = False

    def look(self, share: int, following: int, tick: Tick) -> Verdict:
        """Take one look at a share of traffic (basis points) and decide."""
        self._judge.enter(share, following)
        if self._held:
            self._judge.overrule()
            self._held = False
        return self._judge.look(tick)

    def recall(self, entries: Iterable[Entry], environment: str) -> Iterator[tuple[Entry, Verdict | None]]:
        """Go through what was recorded; give each entry of a look with its verdict, the others without."""
        for entry in entries:
            verdict = None
            if entry.environment == environment:
                match entry.fact:
                    case Looked(share=share, next_share=following, tick=tick):
                        verdict = self.look(share, following, tick)
                    case Judged(verdict=recorded):
                        self._held = recorded.decision == "hold"
            yield entry, verdict
