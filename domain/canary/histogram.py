"""What is slow: thresholds from the stable version's past, and when there are any."""

import numpy as np

from domain.canary.rows import Ints, Timed
from domain.canary.tick import BOUNDARIES

QUANTILES = np.array([0.5, 0.9, 0.99])
"""Where latencies are compared: half of the requests, the slow tenth, the slowest hundredth."""
NOWHERE = len(BOUNDARIES) + 1
"""A threshold that stands for none: no bucket lies above it."""
_STAND = 12  # looks for which thresholds stand
_FADE = 0.98  # per look: the stable version's latencies of the last minute count
_ENOUGH = 200.0  # requests before a hundredth of them says anything
_STEP = float(np.log(BOUNDARIES[1] / BOUNDARIES[0]))


class Reference:
    """The stable version's latencies of the last minute: what a request is compared with, known before it comes."""

    def __init__(self) -> None:
        self._seen, self._fresh = np.zeros(NOWHERE), np.zeros(NOWHERE)
        self._thresholds: Ints = np.full(len(QUANTILES), NOWHERE)
        self._looks = 0

    def looks(self, stable: Timed) -> Ints:
        """Give the buckets above which a request of each look is slow, (T, Q), and take in what the looks say.

        NOWHERE: too little was seen before. Thresholds stand for twelve looks.
        """
        looks, begin = stable.shape[0], 0
        told = np.empty((looks, len(QUANTILES)), dtype=np.intp)
        while begin < looks:
            if self._looks % _STAND == 0:
                self._settle()
            end = min(looks, begin + _STAND - self._looks % _STAND)
            told[begin:end] = self._thresholds
            part = slice(*np.searchsorted(stable.look, (begin, end)))
            self._fresh += np.bincount(stable.bucket[part], stable.count[part], NOWHERE)
            self._looks += end - begin
            begin = end
        return told

    def _settle(self) -> None:
        """Draw the thresholds anew; what is older fades.

        Each is the last empty bucket before the next that is filled: nothing lies between, and a margin on top of it
        then reaches over the whole of a coarse source's bucket. So a margin finer than the source can tell means its
        next.
        """
        self._seen = self._seen * _FADE**_STAND + self._fresh
        self._fresh = np.zeros(NOWHERE)
        total = self._seen.sum()
        if total < _ENOUGH:
            self._thresholds = np.full(len(QUANTILES), NOWHERE)
            return
        places, filled = np.searchsorted(np.cumsum(self._seen), QUANTILES * total), np.flatnonzero(self._seen)
        following = np.append(filled, NOWHERE)[np.searchsorted(filled, places, side="right")]
        self._thresholds = np.where(following < NOWHERE, following - 1, places)


def buckets(margin: float) -> int:
    """Tell how many buckets a margin is, rounded up."""
    return int(np.ceil(np.log1p(margin) / _STEP - 1e-9))
