"""Whether a candidate may have more traffic, must go back, or needs somebody to look; valid however often one looks.

Roll back when harm is shown: more errors than the stable version's by a ratio *and* than a floor, slower requests,
fewer orders, rising levels. Let more traffic follow only when harm above the budget is *ruled out* for the share that
follows. Anything else is `continue`, and at the end of patience `hold`. Harm that one replica causes alone is answered
with `drain`. What is guaranteed, and what is not, is the first paragraph of docs/judge.md.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from domain.canary import calibration
from domain.canary.arms import Arms
from domain.canary.calibration import Spread
from domain.canary.charges import Charge, charge, findings, rates, signal
from domain.canary.criteria import Criteria
from domain.canary.harm import Harm, Margins
from domain.canary.health import Budget, Health
from domain.canary.histogram import buckets
from domain.canary.share import SURE, Interval, Share
from domain.canary.signals import Drop, Rise
from domain.canary.tick import BOUNDARIES, Arm, Tick, quantile
from domain.canary.verdict import Decision, Verdict

ERRORS, LATENCY, BAKE, SIGNALS = 0.4, 0.3, 0.2, 0.1
"""How alpha is split, so that the whole release keeps its promise; signals share theirs evenly."""


class Judge:
    """A pure fold over ticks: the same ticks give the same verdicts, bit for bit.

    Evidence of harm runs through all shares; evidence of health starts anew at each (`enter`). `spread` is what was
    measured between healthy replicas; without it the criteria's own, or a careful default, widens the margins.
    """

    def __init__(self, criteria: Criteria, spread: Spread | None = None) -> None:
        self._criteria = criteria
        self.spread = spread or calibration.assumed(criteria.spread)
        self._arms = Arms(criteria.warm_up)
        self._harm: Harm | None = None
        self._bake: Harm | None = None
        self._interval = Interval()
        self._drops = [Drop(name, asked) for name, asked in criteria.kpis.items()]
        self._rises = [Rise(name, asked) for name, asked in criteria.gauges.items()]
        self._margin = self._budget = 0
        self._signals: dict[str, float] = {}
        self._excused: set[str] = set()
        self._share = -1
        self.enter(share=0, next_share=10_000)

    def enter(self, share: int, next_share: int) -> None:
        """Begin a share of traffic (basis points), if it is a new one; a promotion would lead to `next_share`."""
        if share == self._share:
            return
        self._share, following = share, max(next_share, 1) / 10_000
        self._tolerated = min(0.5, self._criteria.harm_budget / following)
        self._slower = min(1.0, self._criteria.latency.budget / math.sqrt(following)) if self._criteria.latency else 0.0
        self._health: Health | None = None
        self._split, self._astray = Share(share / 10_000, self._criteria.share_margin), 0.0
        self._seen: dict[Arm, list[int]] = {"candidate": [0, 0], "stable": [0, 0]}

    def look(self, tick: Tick) -> Verdict:
        """Take one look and decide."""
        counts, slow, slower = self._arms.take(tick, self._margin, self._budget)
        for arm, seen in self._seen.items():
            for place, count in enumerate(tick.total(arm)):
                seen[place] += count
        alone = self._share >= 10_000
        replicas = len(self._arms.candidate.since)
        harm, health = (self._baking(replicas), None) if alone else self._comparing(replicas)
        harm.look(counts, None if alone else slow, alone=alone)
        if health:
            health.look(counts, slower)
            own, stable = float(counts.requests[0]), float(counts.stable_requests)
            self._interval.look(own, float(counts.bad[0]), stable, float(counts.stable_bad))
            if all(requests for requests, _ in self._seen.values()):  # an arm that nobody reached yet is told as that
                self._astray = self._split.look(own, stable)
            self._listen(tick)
        return self._decide(harm, health)

    def overrule(self) -> None:
        """Take people's word after a hold: the replica that was to be drained is gone, a split that is off stays so.

        What the drained replica failed no longer counts, and health is shown anew without it.
        """
        if replica := self._broken():
            self._excused.add(replica)
            place = list(self._arms.candidate.since).index(replica)
            for harm in filter(None, (self._harm, self._bake)):
                if place < harm.replicas:
                    harm.excuse(place)
            self._health = None
        elif self._astray >= SURE:
            self._split, self._astray = Share(0.0, self._criteria.share_margin), 0.0

    def _broken(self) -> str:
        return next((it for it in self._arms.candidate.broken if it not in self._excused), "")

    def _comparing(self, replicas: int) -> tuple[Harm, Health]:
        """Have the tests of this share; margins are set by the replicas that are there at the first look."""
        criteria, stable = self._criteria, len(self._arms.stable.since)
        if self._harm is None and replicas and stable:
            widened = self.spread.widened(criteria.error_ratio, replicas, stable)
            self._harm = Harm(Margins(widened, criteria.error_floor))
            if criteria.latency:
                self._margin = buckets(self.spread.slower(criteria.latency.margin, replicas, stable))
        harm = _grown(self._harm or Harm(Margins(criteria.error_ratio, criteria.error_floor)), replicas)
        if self._health is None:
            self._health = Health(Budget(self._tolerated, self.spread.tightened(replicas, stable)))
            self._budget = buckets(self._slower)
        return harm, self._health

    def _baking(self, replicas: int) -> Harm:
        """Have the test of a version with all traffic: against the floor, or what the stable one was seen to fail."""
        if self._bake is None:
            stable = self._arms.stable
            rate = stable.bad / stable.requests if stable.requests else 0.0
            floor = min(0.5, max(self._criteria.error_floor, self._criteria.error_ratio * rate))
            self._bake = Harm(Margins(self._criteria.error_ratio, floor))
        return _grown(self._bake, replicas)

    def _listen(self, tick: Tick) -> None:
        for drop in self._drops:
            self._signals[f"{drop.name} drops"] = drop.look(tick)
        for rise in self._rises:
            self._signals[f"{rise.name} rises"] = rise.look(tick, self._arms.first + self._criteria.warm_up)

    def _decide(self, harm: Harm, health: Health | None) -> Verdict:
        charges = self._charges(harm, alone=health is None)
        self._findings = findings(charges, health, self._criteria.beta, self._interval)
        return self._against(charges) or self._waiting(charges, health) or self._promoted(health)

    def _against(self, charges: Sequence[Charge]) -> Verdict | None:
        """Say what speaks against the candidate, or against the comparison."""
        guilty = next((it for it in charges if it.guilty), None)
        if guilty:
            return self._say("roll back", f"{guilty.words}: {self._rates()}")
        if replica := self._broken():
            return self._say("drain", f"{replica} fails far more than its siblings; {self._rates()}", replica)
        if self._astray >= SURE:
            part = f"{self._share / 100:g} % of the traffic was meant for the candidate"
            return self._say("hold", f"{part}, it gets another part: what is compared is not alike; {self._rates()}")
        return None

    def _waiting(self, charges: Sequence[Charge], health: Health | None) -> Verdict | None:
        """Say what must be waited for before anything is promoted."""
        if not self._seen["candidate"][0]:
            return self._say("continue", "no request has reached the candidate yet: nothing is measured")
        if health and not self._seen["stable"][0]:
            return self._say("continue", "no request has reached the stable version yet: nothing to compare with")
        if suspect := next((it for it in charges if it.all >= it.needed), None):
            return self._say("continue", f"{suspect.words}, because of one replica so far: {self._rates()}")
        return None

    def _promoted(self, health: Health | None) -> Verdict:
        if health is None:
            return self._say("continue", f"no harm is shown with all traffic: {self._rates()}")
        proof = math.log(1 / self._criteria.beta)
        harmless, quick = health.errors >= proof, health.latency >= proof
        measured = self._criteria.latency is not None and self._arms.measures_latency
        if harmless and (quick or not measured):
            latency = f", and latency above {1 + self._slower:.2f} times" if measured else ""
            ruled_out = f"harm above {self._tolerated:.2%} of requests{latency} is ruled out at this share"
            return self._say("promote", f"{ruled_out}: {self._rates()}")
        missing = " and ".join(["errors"] * (not harmless) + ["latency"] * (measured and not quick))
        return self._say("continue", f"not enough evidence yet about {missing}: {self._rates()}")

    def _charges(self, harm: Harm, *, alone: bool) -> list[Charge]:
        """List every kind of harm with the evidence for it, also without any one replica, and what is needed."""
        alpha = self._criteria.alpha
        if alone:
            words = "the candidate fails more than the floor allows"
            return [charge("errors", words, harm.errors, alpha * BAKE, harm)]
        words = "the candidate fails more than the stable version and the floor allow"
        listed = [charge("errors", words, harm.errors, alpha * ERRORS, harm)]
        if self._criteria.latency:
            words = "the candidate is slower than is tolerated"
            listed.append(charge("latency", words, harm.latency, alpha * LATENCY, harm))
        part = alpha * SIGNALS / max(1, len(self._signals))
        return listed + [signal(name, evidence, part) for name, evidence in self._signals.items()]

    def _say(self, decision: Decision, reason: str, host: str = "") -> Verdict:
        said = [reason] + [f"spread: {self.spread.source}"] * (decision in ("roll back", "promote"))
        return Verdict(
            decision=decision, reasons=tuple(said), numbers=self._numbers(), host=host, findings=self._findings
        )

    def _rates(self) -> str:
        return rates(self._seen)

    def _numbers(self) -> dict[str, float]:
        counted = {
            f"{arm}_{what}": float(n)
            for arm, it in self._seen.items()
            for what, n in zip(("requests", "bad"), it, strict=True)
        }
        return {"share": self._share / 10_000, **counted}


def _grown(harm: Harm, replicas: int) -> Harm:
    while harm.replicas < replicas:
        harm.join()
    return harm


def hold(verdict: Verdict, waited: float) -> Verdict:
    """Turn a `continue` at the end of patience into a `hold`: absence of evidence promotes nothing."""
    reason = f"no decision after {waited:.0f} s: {verdict.reasons[0]}"
    return verdict.model_copy(update={"decision": "hold", "reasons": (reason, *verdict.reasons[1:])})


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
