"""A judge at work, fed in the journal's order: live, after a restart, or years later, it comes to the same verdicts."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

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
        return self._looks(share, following, [tick])[0]

    def recall(self, entries: Iterable[Entry], environment: str) -> Iterator[tuple[Looked | Judged, Verdict | None]]:
        """Go through what was recorded of an environment; give each look with its verdict, and what was judged."""
        facts = (e.fact for e in entries if e.environment == environment and isinstance(e.fact, Looked | Judged))
        for (_, share), alike in groupby(facts, key=lambda fact: (fact.kind, fact.share)):
            group = list(alike)
            looks = [fact for fact in group if isinstance(fact, Looked)]
            if looks:
                yield from zip(looks, self._looks(share, looks[0].next_share, [it.tick for it in looks]), strict=True)
            for fact in group:
                if isinstance(fact, Judged):
                    self._held = fact.verdict.decision == "hold"
                    yield fact, None

    def _looks(self, share: int, following: int, ticks: Sequence[Tick]) -> list[Verdict]:
        self._judge.enter(share, following)
        if self._held:
            self._judge.overrule()
            self._held = False
        return self._judge.looks(ticks)
