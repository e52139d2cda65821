"""What is slow: thresholds from the stable version's past, and how many requests lie above them."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

import numpy as np

from domain.canary.eprocess import Floats
from domain.canary.tick import BOUNDARIES

QUANTILES = np.array([0.5, 0.9, 0.99])
"""Where latencies are compared: half of the requests, the slow tenth, the slowest hundredth."""
_FADE = 0.98  # per look: the stable version's latencies of the last minute count
_ENOUGH = 200.0  # requests before a hundredth of them says anything
_STEP = float(np.log(BOUNDARIES[1] / BOUNDARIES[0]))


class Reference:
    """The stable version's latencies of the last minute: what a request is compared with, known before it comes."""

    def __init__(self) -> None:
        self._seen: Floats = np.zeros(len(BOUNDARIES) + 1)
        self.fresh = [0] * len(self._seen)

    def settle(self, looks: int) -> None:
        """Count what was added to `fresh`, by bucket, in so many looks; what is older fades."""
        self._seen = self._seen * _FADE**looks + self.fresh
        self.fresh = [0] * len(self._seen)

    @property
    def thresholds(self) -> list[int] | None:
        """Give the buckets above which a request is slow, one per quantile; None: too little was seen.

        Each is the last empty one before the next that is filled: nothing lies between, and a margin on top of it then
        reaches over the whole of a coarse source's bucket. So a margin finer than the source can tell means its next.
        """
        total = self._seen.sum()
        if total < _ENOUGH:
            return None
        places, filled = np.searchsorted(np.cumsum(self._seen), QUANTILES * total), np.flatnonzero(self._seen)
        following = np.searchsorted(filled, places, side="right")
        return [
            int(filled[after]) - 1 if after < len(filled) else int(place)
            for place, after in zip(places, following, strict=True)
        ]


class Above:
    """Counts requests above each of some thresholds, which need not be in order."""

    def __init__(self, thresholds: Sequence[int]) -> None:
        steps = sorted(set(thresholds))
        self._rank = [bisect_left(steps, bucket) for bucket in range(len(BOUNDARIES) + 1)]  # how many it is above
        self._places = [-1] + [len(steps) - 1 - steps.index(threshold) for threshold in thresholds]
        self._nothing = [0] * (len(steps) + 1)

    def __call__(self, histograms: Iterable[Mapping[int, int]], fresh: list[int] | None = None) -> list[int]:
        """Count some histograms together: all requests first, then those above each threshold.

        By bucket they are added to `fresh`, too.
        """
        counts, rank = self._nothing.copy(), self._rank
        for histogram in histograms:
            for bucket, count in histogram.items():
                counts[rank[bucket]] += count
                if fresh is not None:
                    fresh[bucket] += count
        above = list(accumulate(reversed(counts)))
        return [above[place] for place in self._places]


def buckets(margin: float) -> int:
    """Tell how many buckets a margin is, rounded up."""
    return int(np.ceil(np.log1p(margin) / _STEP - 1e-9))
