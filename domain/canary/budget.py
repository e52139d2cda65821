"""What a release may cost in failed requests: counted while it is compared, respected by the share it starts with."""

import math
from collections.abc import Sequence

from domain.canary.criteria import Criteria
from domain.canary.tick import Tick
from domain.value import Value

SHARES = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
"""The shares in basis points that a release may start with."""
_LEAST, _USUAL = 100, 1_000  # basis points: not below 1 % by choice, not above 10 % without need
_ENOUGH = (
    5.0  # requests/s: a candidate that fails one in a hundred is then found in minutes, 1 % of 500/s, 10 % of 50/s
)
_BACK = 3.0  # seconds until a version that fails everything has no traffic: two looks, and one to move it
_MORE = 3.0
"""Times the requests that rule out harm where nothing fails; 2.7 and 3.1 were seen with one failure in a thousand."""


class Cost:
    """The candidate's failures beyond the stable version's rate, over all looks that had both.

    It is a sum and no test: noise spends a small budget as well.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._counts = [0, 0, 0, 0]  # requests and failures of the candidate, and of the stable version

    @property
    def excess(self) -> float:
        """Tell how many requests have failed beyond the stable version's rate so far."""
        requests, bad, others, failed = self._counts
        return bad - requests * (failed / others if others else 0.0)

    @property
    def words(self) -> str:
        """Say that the budget is spent; empty until then."""
        if self.excess < self._budget:
            return ""
        beyond = f"{self.excess:.0f} requests failed beyond the stable version's rate"
        return f"{beyond}, {self._budget} are what this release may cost"

    def look(self, tick: Tick) -> None:
        """Take in one look at both versions."""
        seen = (*tick.total("candidate"), *tick.total("stable"))
        self._counts = [count + more for count, more in zip(self._counts, seen, strict=True)]


class Start(Value):
    """The share (basis points) that a release should begin with, and why."""

    share: int
    reason: str


def start(rate: float, ramp: Sequence[int], patience: float, criteria: Criteria) -> Start:
    """Choose the first share of a ramp (basis points, rising) for so many requests/s of the whole service.

    The smallest round share at which the judge can clear the next one within half its patience, with 1 % … 10 % for
    about five requests a second preferred; then no more than the budget of failures allows if every request failed.
    """
    can = [share for share in SHARES if _seconds(share, rate, ramp, criteria) <= patience / 2]
    wanted = max(_LEAST, min(_USUAL, next((share for share in SHARES if share * rate >= _ENOUGH * 10_000), _USUAL)))
    chosen = next((share for share in can if share >= wanted), SHARES[-1])
    allowed = criteria.failures or math.inf
    affordable = [share for share in SHARES if _lost(share, rate) <= allowed] or [SHARES[0]]
    return _said(min(chosen, affordable[-1]), chosen, rate, ramp, patience, criteria)


def following(share: int, ramp: Sequence[int]) -> int:
    """Give the share that follows one on the ramp."""
    return next((it for it in ramp if it > share), 10_000)


def _seconds(share: int, rate: float, ramp: Sequence[int], criteria: Criteria) -> float:
    """Estimate how long the judge takes to rule out harm above the budget at what follows."""
    tolerated = min(0.5, criteria.harm_budget * 10_000 / following(share, ramp))
    requests = _MORE * math.log(1 / criteria.beta) / tolerated
    return requests / (rate * share / 10_000)


def _lost(share: int, rate: float) -> float:
    return rate * share / 10_000 * _BACK


def _said(share: int, wanted: int, rate: float, ramp: Sequence[int], patience: float, criteria: Criteria) -> Start:
    seconds, lost = _seconds(share, rate, ramp, criteria), math.ceil(_lost(share, rate))
    reason = (
        f"{share / 100:g} % of {rate:.3g} requests/s: clears {following(share, ramp) / 100:g} % in about "
        f"{math.ceil(seconds / 60)} min, and costs about {lost} requests if every one of them fails"
    )
    if share < wanted:
        reason += f"; {wanted / 100:g} % would cost more than the {criteria.failures} that are allowed"
    if seconds > patience:
        reason += f"; that is beyond the patience of {patience / 60:.0f} min, so people will be asked"
    return Start(share=share, reason=reason)
