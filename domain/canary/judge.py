"""Whether a candidate may have more traffic, must go back, or needs somebody to look; valid however often one looks.

Roll back when harm is shown: more errors than the stable version's by a ratio *and* than a floor, slower requests,
fewer orders, rising levels. Let more traffic follow only when harm above the budget is *ruled out* for the share that
follows. Anything else is `continue`, and at the end of patience `hold`. Harm that one replica causes alone is answered
with `drain`. What is guaranteed, and what is not, is the first paragraph of docs/judge.md.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from domain.canary import calibration
from domain.canary.arms import Arms, Seen
from domain.canary.calibration import Spread
from domain.canary.charges import Charge, Evidence, charges, signals
from domain.canary.criteria import Criteria
from domain.canary.decide import Standard, decide
from domain.canary.eprocess import Floats
from domain.canary.guards import Guards
from domain.canary.harm import Harm, Margins, Shown
from domain.canary.health import Budget, Health
from domain.canary.histogram import buckets
from domain.canary.residual import NO_PAST, Past
from domain.canary.share import SURE, Interval, Share
from domain.canary.signals import Drop, Rise
from domain.canary.tick import BOUNDARIES, Tick, quantile
from domain.canary.verdict import Verdict

ERRORS, LATENCY, BAKE, SIGNALS = 0.4, 0.3, 0.2, 0.1
"""How alpha is split, so that the whole release keeps its promise; signals share theirs evenly."""


class Judge:
    """A pure fold over ticks: the same ticks give the same verdicts, bit for bit, one by one or many at once.

    Evidence of harm runs through all shares; evidence of health starts anew at each (`enter`). `spread` is what was
    measured between healthy replicas; without it the criteria's own, or a careful default, widens the margins. `past`
    is what a bake is held against where the criteria ask for that.
    """

    def __init__(self, criteria: Criteria, spread: Spread | None = None, past: Past = NO_PAST) -> None:
        self.criteria = criteria
        self._guards = Guards(criteria, past)
        self.spread = spread or calibration.assumed(criteria.spread)
        self._arms = Arms(criteria.warm_up)
        self._harm: Harm | None = None
        self._bake: Harm | None = None
        self._interval = Interval()
        self._drops = [Drop(name, asked) for name, asked in criteria.kpis.items()]
        self._rises = [Rise(name, asked) for name, asked in criteria.gauges.items()]
        self._margin = self._budget = 0
        self._excused: set[str] = set()
        self._share = -1
        self.enter(share=0, next_share=10_000)

    def enter(self, share: int, next_share: int) -> None:
        """Begin a share of traffic (basis points), if it is a new one; a promotion would lead to `next_share`."""
        if share == self._share:
            return
        self._share, following = share, max(next_share, 1) / 10_000
        self._standard = Standard(
            tolerated=min(0.5, self.criteria.harm_budget / following),
            slower=min(1.0, self.criteria.latency.budget / math.sqrt(following)) if self.criteria.latency else None,
            beta=self.criteria.beta,
            source=self.spread.source,
        )
        self._health: Health | None = None
        self._split, self._astray = Share(share / 10_000, self.criteria.share_margin), 0.0
        self._seen: Floats = np.zeros(4)

    def look(self, tick: Tick) -> Verdict:
        """Take one look and decide."""
        return self.looks([tick])[0]

    def looks(self, ticks: Sequence[Tick]) -> list[Verdict]:
        """Take looks at one share of traffic, and decide at each."""
        verdicts: list[Verdict] = []
        while rest := ticks[len(verdicts) :]:
            together = rest[: self._arms.begin(rest)]
            evidence = self._baking(together) if self._share >= 10_000 else self._comparing(together)
            verdicts += [
                self._guards.over(decide(seen, self._standard), tick)
                for seen, tick in zip(evidence, together, strict=True)
            ]
        return verdicts

    def overrule(self) -> None:
        """Take people's word after a hold: the replica that was to be drained is gone, a split that is off stays so.

        What the drained replica failed no longer counts, and health is shown anew without it.
        """
        if replica := self._broken(self._arms.candidate.broken):
            self._excused.add(replica)
            place = list(self._arms.candidate.since).index(replica)
            for harm in filter(None, (self._harm, self._bake)):
                if place < harm.replicas:
                    harm.excuse(place)
            self._health = None
        elif self._astray >= SURE:
            self._split, self._astray = Share(0.0, self.criteria.share_margin), 0.0

    def _broken(self, replicas: Iterable[str]) -> str:
        return next((it for it in replicas if it not in self._excused), "")

    def _comparing(self, ticks: Sequence[Tick]) -> list[Evidence]:
        """Compare both versions; margins are set by the replicas that are there when both first are."""
        harm, health = self._tests()
        seen = self._arms.take(ticks, self._margin, self._budget)
        counts, totals = seen.counts, self._totals(seen)
        shown, cleared = harm.looks(counts, seen.slow), health.looks(counts, seen.slower)
        own, bad = counts.requests[:, 0], counts.bad[:, 0]
        bounds = self._interval.looks(own, bad, counts.stable_requests, counts.stable_bad)
        both = int(np.argmax((totals[:, [0, 2]] > 0).all(axis=1))) if totals[-1, [0, 2]].all() else len(ticks)
        # an arm that nobody reached yet is told as that
        astray = np.concatenate(
            [np.full(both, self._astray), self._split.looks(own[both:], counts.stable_requests[both:])]
        )
        self._astray = float(astray[-1])
        charged = self._charges(shown, ticks)
        return [
            Evidence(self._share, *it)
            for it in zip(
                totals.tolist(),
                charged,
                zip(cleared.errors.tolist(), cleared.latency.tolist(), strict=True),
                map(tuple, bounds.tolist()),
                astray.tolist(),
                map(self._broken, seen.broken),
                seen.measures,
                strict=True,
            )
        ]

    def _tests(self) -> tuple[Harm, Health]:
        criteria, replicas, stable = self.criteria, len(self._arms.candidate.since), len(self._arms.stable.since)
        if self._harm is None and replicas and stable:
            widened = self.spread.widened(criteria.error_ratio, replicas, stable)
            self._harm = Harm(Margins(widened, criteria.error_floor))
            if criteria.latency:
                self._margin = buckets(self.spread.slower(criteria.latency.margin, replicas, stable))
        if self._health is None:
            budget = Budget(self._standard.tolerated, self.spread.tightened(replicas, stable))
            self._health = Health(budget)
            self._budget = buckets(self._standard.slower or 0.0)
        harm = self._harm or Harm(Margins(criteria.error_ratio, criteria.error_floor))
        return _grown(harm, replicas), self._health

    def _baking(self, ticks: Sequence[Tick]) -> list[Evidence]:
        """Hold a version with all traffic against the floor, or against what the stable one was seen to fail."""
        if self._bake is None:
            stable = self._arms.stable
            rate = stable.bad / stable.requests if stable.requests else 0.0
            floor = min(0.5, max(self.criteria.error_floor, self.criteria.error_ratio * rate))
            self._bake = Harm(Margins(self.criteria.error_ratio, floor))
        seen = self._arms.take(ticks, self._margin, self._budget)
        shown = _grown(self._bake, len(self._arms.candidate.since)).looks(seen.counts, alone=True)
        words = "the candidate fails more than the floor allows"
        charged = charges("errors", words, shown.errors, self.criteria.alpha * BAKE, shown)
        told = zip(self._totals(seen).tolist(), charged, seen.broken, seen.measures, strict=True)
        return [
            Evidence(self._share, totals, [charge], None, (0.0, math.inf), 0.0, self._broken(broken), measures)
            for totals, charge, broken, measures in told
        ]

    def _totals(self, seen: Seen) -> Floats:
        """Sum up what was seen at this share, look by look: (T, 4)."""
        totals: Floats = self._seen + seen.totals.cumsum(axis=0)
        self._seen = totals[-1]
        return totals

    def _charges(self, shown: Shown, ticks: Sequence[Tick]) -> list[list[Charge]]:
        """List, look by look, every kind of harm with the evidence for it and what is needed."""
        alpha = self.criteria.alpha
        words = "the candidate fails more than the stable version and the floor allow"
        kinds = [charges("errors", words, shown.errors, alpha * ERRORS, shown)]
        if self.criteria.latency:
            words = "the candidate is slower than is tolerated"
            kinds.append(charges("latency", words, shown.latency, alpha * LATENCY, shown))
        return [list(it) for it in zip(*kinds, *self._signals(ticks), strict=True)]

    def _signals(self, ticks: Sequence[Tick]) -> Iterator[list[Charge]]:
        """Listen to what else may tell of harm; each signal has its part of alpha."""
        part = self.criteria.alpha * SIGNALS / max(1, len(self._drops) + len(self._rises))
        warm = self._arms.first + self.criteria.warm_up
        for drop in self._drops:
            yield signals(f"{drop.name} drops", drop.looks(ticks), part)
        for rise in self._rises:
            yield signals(f"{rise.name} rises", rise.looks(ticks, warm), part)


def _grown(harm: Harm, replicas: int) -> Harm:
    while harm.replicas < replicas:
        harm.join()
    return harm


def hold(verdict: Verdict, waited: float) -> Verdict:
    """Turn a `continue` at the end of patience into a `hold`: absence of evidence promotes nothing."""
    reason = f"no decision after {waited:.0f} s: {verdict.reasons[0]}"
    return verdict.model_copy(update={"decision": "hold", "reasons": (reason, *verdict.reasons[1:])})


def witnessed(verdict: Verdict) -> bool:
    """Tell at the end of a bake whether something was seen: of the stable version, too, where it was held back."""
    arms = ("candidate",) if verdict.numbers["share"] >= 1.0 else ("candidate", "stable")
    return all(verdict.numbers[f"{arm}_requests"] for arm in arms)


def measured(ticks: Iterable[Tick]) -> dict[str, float]:
    """Sum up the candidate's arm for the success metrics: success_ratio, p50_ms, p99_ms (nan without requests)."""
    cells = [cell for tick in ticks for cell in tick.cells if cell.arm == "candidate"]
    again = sum(c.repeated for c in cells)  # customers met these failures, too
    requests, bad = sum(c.requests for c in cells) + again, sum(c.bad for c in cells) + again
    latency = sum((c.latency() for c in cells), start=np.zeros(len(BOUNDARIES) + 1, dtype=np.int64))
    return {
        "requests": float(requests),
        "success_ratio": 1 - bad / requests if requests else float("nan"),
        "p50_ms": quantile(latency, 0.5) / 1000,
        "p99_ms": quantile(latency, 0.99) / 1000,
    }
