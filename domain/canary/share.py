"""Whether the candidate gets the traffic that it was given: a comparison of unlike users compares nothing."""

import numpy as np

from domain.canary import eprocess
from domain.canary.eprocess import Floats, Mixture

SURE = float(np.log(1 / 0.001))
"""Evidence (natural logarithm) from which the split counts as broken."""
_LOOKS = 30  # a stall, and what is answered after it, is over by then
_MORE, _LESS = np.array([1.1, 1.5, 3.0, 10.0]), np.array([0.9, 0.6, 0.3, 0.01])  # times the bounds that are tolerated


class Share:
    """One share of traffic: is the candidate's part of the requests within a margin of it? (sample ratio mismatch)"""

    def __init__(self, share: float, margin: float) -> None:
        """Watch for this share of all requests, between 0 and 1; at the ends there is nothing to compare."""
        self._share, self._margin = share if 0.0 < share < 1.0 else None, margin
        self._looks, self._own, self._total = 0, 0.0, 0.0
        self._more, self._less = Mixture((), len(_MORE)), Mixture((), len(_LESS))

    def look(self, candidate: float, stable: float) -> float:
        """Take one look's requests in; return the evidence (natural logarithm) that the split is another one.

        A version that stalls for seconds answers later: there is no evidence before half a minute has passed, nor while
        the share of all that was seen is within the margin.
        """
        if self._share is None:
            return 0.0
        self._looks, self._own, self._total = self._looks + 1, self._own + candidate, self._total + candidate + stable
        total, own = np.asarray(candidate + stable), np.asarray(candidate)
        high, low = min(0.999, self._share * (1 + self._margin)), self._share * (1 - self._margin)
        more = self._more.look(eprocess.level(_MORE, high, total, own))
        less = self._less.look(eprocess.level(_LESS, low, total, own))
        evidence = float(np.logaddexp(more, less) - np.log(2))
        inside = low * self._total <= self._own <= high * self._total
        return 0.0 if inside or self._looks < _LOOKS else evidence


class Interval:
    """An anytime-valid confidence sequence for the ratio of two error rates, on a grid.

    The prior-posterior ratio of a uniform prior over the grid is a martingale at the true ratio, so a ratio whose
    likelihood falls below alpha times the mean of all is excluded for good (Waudby-Smith & Ramdas, "Confidence
    sequences for sampling without replacement", NeurIPS 2020). Conditional on each look's errors the split is binomial.
    """

    def __init__(self, alpha: float = 0.05) -> None:
        self._limit = float(np.log(alpha))
        self._log: Floats = np.zeros(len(GRID))
        self._open = np.ones(len(GRID), dtype=bool)

    def look(self, n_c: float, x_c: float, n_s: float, x_s: float) -> None:
        """Take one look in."""
        if n_c and n_s and (x_c or x_s):
            self._log += x_c * _LOG_GRID - (x_c + x_s) * np.log(GRID * n_c + n_s)
            top = self._log.max()
            mean = top + np.log(np.exp(self._log - top).mean())
            self._open &= self._log - mean > self._limit

    @property
    def bounds(self) -> tuple[float, float]:
        """Give the lowest and the highest ratio that is not excluded; the ends of the grid stand for 0 and infinity."""
        left = np.flatnonzero(self._open)
        if not len(left):  # the ratio moved while it was watched: no constant one fits
            return 0.0, float("inf")
        low, high = int(left[0]), int(left[-1])
        return (float(GRID[low]) if low else 0.0), (float(GRID[high]) if high < len(GRID) - 1 else float("inf"))


GRID = np.geomspace(0.02, 500.0, 61)
_LOG_GRID = np.log(GRID)
