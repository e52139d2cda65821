"""The first honest judge: errors of candidate against stable, valid at every look, silent when it has seen nothing.

Roll back when the candidate's error rate is shown to exceed both `error_ratio` times the stable rate and the absolute
`error_floor` (intersection-union: both e-processes must cross, so no alpha is spent twice). Let more traffic follow
only when harm above the budget is *rejected* at the share that follows. Anything else is `continue`, and at the end of
patience `hold`. Latency is measured and reported, not judged yet. Replica noise is not calibrated away yet: between
replicas of very different health the false-rollback chance is not held.
"""

from collections.abc import Iterable

import numpy as np

from domain.canary.eprocess import LevelTest, RatioTest
from domain.canary.tick import BOUNDARIES, Tick, quantile
from domain.canary.verdict import Verdict
from domain.release.service import Criteria


class Judge:
    """A pure fold over ticks: the same ticks give the same verdicts, bit for bit.

    Half of alpha is spent on the ramp and half on the bake, so that the whole release keeps its promise. Evidence of
    harm runs through all shares; evidence of health starts anew at each (`enter`).
    """

    def __init__(self, criteria: Criteria) -> None:
        self._criteria = criteria
        self._ratio = RatioTest(criteria.error_ratio)
        self._level = LevelTest(criteria.error_floor)
        self._harm = 0.0
        self.enter(share=0, next_share=10_000)

    def enter(self, share: int, next_share: int) -> None:
        """Begin a new share of traffic (basis points); `next_share` is what a promotion here would lead to."""
        self._share, self._next = share, next_share
        self._tolerated = min(0.5, self._criteria.harm_budget * 10_000 / max(next_share, 1))
        self._health_test = LevelTest(self._tolerated, below=True)
        self._health = 0.0
        self._seen: dict[str, list[int]] = {"candidate": [0, 0], "stable": [0, 0]}

    def look(self, tick: Tick) -> Verdict:
        """Take one look and decide."""
        candidate, stable = tick.total("candidate"), tick.total("stable")
        for arm, (requests, bad) in (("candidate", candidate), ("stable", stable)):
            self._seen[arm][0] += requests
            self._seen[arm][1] += bad
        level = self._level.look(*candidate)
        alone = self._share >= 10_000
        ratio = level if alone else self._ratio.look(candidate, stable)
        self._harm = max(self._harm, min(ratio, level))
        self._health = max(self._health, self._health_test.look(*candidate))
        return self._decide(alone)

    def _decide(self, alone: bool) -> Verdict:
        need, proof = np.log(2 / self._criteria.alpha), np.log(1 / self._criteria.beta)
        if self._harm >= need:
            against = "the floor" if alone else "the stable version and the floor"
            return self._verdict("roll back", f"the candidate fails more than {against} allow: {self._rates()}")
        if self._seen["candidate"][0] == 0:
            return self._verdict("continue", "no request has reached the candidate yet: nothing is measured")
        if not alone and self._seen["stable"][0] == 0:
            return self._verdict("continue", "no request has reached the stable version yet: nothing to compare with")
        if self._health >= proof:
            return self._verdict(
                "promote", f"harm above {self._tolerated:.2%} of requests is ruled out at this share: {self._rates()}"
            )
        return self._verdict("continue", f"not enough evidence yet: {self._rates()}")

    def _rates(self) -> str:
        said = []
        for arm in ("candidate", "stable"):
            requests, bad = self._seen[arm]
            said.append(f"{arm} {bad}/{requests}" + (f" ({bad / requests:.2%})" if requests else ""))
        return ", ".join(said)

    def _verdict(self, decision: str, reason: str) -> Verdict:
        numbers = {
            "share": self._share / 10_000,
            "ln_e_harm": self._harm,
            "ln_e_harm_needed": float(np.log(2 / self._criteria.alpha)),
            "ln_e_health": self._health,
            "ln_e_health_needed": float(np.log(1 / self._criteria.beta)),
            **{f"{arm}_{what}": self._seen[arm][i] for arm in self._seen for i, what in enumerate(("requests", "bad"))},
        }
        return Verdict.model_validate({"decision": decision, "reasons": (reason,), "numbers": numbers})


def hold(verdict: Verdict, waited: float) -> Verdict:
    """Turn a `continue` at the end of patience into a `hold`: absence of evidence promotes nothing."""
    reason = f"no decision after {waited:.0f} s: {verdict.reasons[0]}"
    return verdict.model_copy(update={"decision": "hold", "reasons": (reason,)})


def replay(criteria: Criteria, looks: Iterable[tuple[int, int, Tick]]) -> list[Verdict]:
    """Judge recorded looks (share, next share, tick) again; a new share is entered whenever it changes."""
    judge, verdicts, at = Judge(criteria), [], -1
    for share, next_share, tick in looks:
        if share != at:
            judge.enter(share, next_share)
            at = share
        verdicts.append(judge.look(tick))
    return verdicts


def measured(ticks: Iterable[Tick]) -> dict[str, float]:
    """Sum up the candidate's arm for the success metrics: success_ratio, p50_ms, p99_ms (nan without requests)."""
    cells = [cell for tick in ticks for cell in tick.cells if cell.arm == "candidate"]
    requests, bad = sum(c.requests for c in cells), sum(c.bad for c in cells)
    latency = sum((c.latency() for c in cells), start=np.zeros(len(BOUNDARIES) + 1, dtype=np.int64))
    return {
        "requests": float(requests),
        "success_ratio": 1 - bad / requests if requests else float("nan"),
        "p50_ms": quantile(latency, 0.5) / 1000,
        "p99_ms": quantile(latency, 0.99) / 1000,
    }
