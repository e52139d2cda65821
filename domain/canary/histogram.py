"""What is slow: thresholds from the stable version's past, and how many requests lie above them."""

from collections.abc import Mapping

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

    def add(self, histograms: list[Mapping[int, int]]) -> None:
        """Take one look's latencies in, after it was judged by the earlier ones."""
        self._seen *= _FADE
        for histogram in histograms:
            for bucket, count in histogram.items():
                self._seen[bucket] += count


def buckets(margin: float) -> int:
    """Tell how many buckets a margin is, rounded up."""
    return int(np.ceil(np.log1p(margin) / _STEP - 1e-9))


def above(histogram: Mapping[int, int], thresholds: list[int]) -> list[int]:
    """Count the requests above each threshold."""
    counts = [0] * len(thresholds)
    for bucket, count in histogram.items():
        for place, threshold in enumerate(thresholds):
            if bucket > threshold:
                counts[place] += count
    return counts
