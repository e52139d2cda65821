"""Whether the candidate gets the traffic that it was given: a comparison of unlike users compares nothing."""

import numpy as np

from domain.canary import eprocess
from domain.canary.eprocess import Bools, Floats, Mixture

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

    def looks(self, candidate: Floats, stable: Floats) -> Floats:
        """Take the requests of T looks in; return the evidence (natural logarithm) that the split is another one, (T,).

        A version that stalls for seconds answers later: there is no evidence before half a minute has passed, nor while
        the share of all that was seen is within the margin.
        """
        if self._share is None or not len(candidate):
            return np.zeros(len(candidate))
        total = candidate + stable
        owned, all_seen = self._own + candidate.cumsum(), self._total + total.cumsum()  # whole numbers: exact
        looks = self._looks + 1 + np.arange(len(total))
        self._looks, self._own, self._total = int(looks[-1]), float(owned[-1]), float(all_seen[-1])
        high, low = min(0.999, self._share * (1 + self._margin)), self._share * (1 - self._margin)
        more, _ = self._more.looks(eprocess.level(_MORE, high, total, candidate))
        less, _ = self._less.looks(eprocess.level(_LESS, low, total, candidate))
        inside = (low * all_seen <= owned) & (owned <= high * all_seen)
        evidence: Floats = np.where(inside | (looks < _LOOKS), 0.0, np.logaddexp(more, less) - np.log(2))
        return evidence


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

    def looks(self, n_c: Floats, x_c: Floats, n_s: Floats, x_s: Floats) -> Floats:
        """Take T looks in; return the lowest and the highest ratio that is not excluded after each, (T, 2).

        The ends of the grid stand for 0 and infinity, and so does a ratio that moved while it was watched: no constant
        one fits then.
        """
        n_c, x_c, n_s, x_s = (it[:, None] for it in (n_c, x_c, n_s, x_s))
        told = x_c * _LOG_GRID - (x_c + x_s) * np.log(np.maximum(GRID * n_c + n_s, 1.0))
        told = np.where((n_c > 0) & (n_s > 0), told, 0.0)
        logs = np.cumsum(np.concatenate([self._log[None], told]), axis=0)[1:]
        top = logs.max(axis=1, keepdims=True)
        mean = top + np.log(np.exp(logs - top).mean(axis=1, keepdims=True))
        open_ones = np.vstack([self._open, logs - mean > self._limit])
        kept: Bools = np.minimum.accumulate(open_ones)[1:]
        self._log, self._open = logs[-1], kept[-1]
        low, high = _ENDS[kept.argmax(axis=1)], _TOPS[len(GRID) - 1 - kept[:, ::-1].argmax(axis=1)]
        bounds: Floats = np.where(kept.any(axis=1, keepdims=True), np.stack([low, high], axis=1), (0.0, np.inf))
        return bounds


GRID = np.geomspace(0.02, 500.0, 61)
_LOG_GRID = np.log(GRID)
_ENDS, _TOPS = np.concatenate([[0.0], GRID[1:]]), np.concatenate([GRID[:-1], [np.inf]])
