"""One replica against its siblings: whether the harm is the version's or one machine's.

A broken candidate replica is drained. A broken stable one is left out of the comparison, so that it hides no harm.
"""

import numpy as np

from domain.canary import eprocess
from domain.canary.eprocess import Bools, Floats, Mixture

SURE = float(np.log(1 / 0.001))
"""Evidence (natural logarithm) from which a replica counts as broken."""
_RATIO = 2.0  # times the siblings' error rate: healthy replicas differ
_LEAST = 0.01  # of its own requests: a handful of errors is no broken machine


class Outliers:
    """The replicas of one arm, each tested against the rest; at least two are needed."""

    def __init__(self) -> None:
        self._mixture: Mixture | None = None
        self._total: Floats = np.zeros((2, 0))

    def looks(self, requests: Floats, bad: Floats) -> Bools:
        """Take looks in, (T, replicas), new ones at the end; tell who is broken at each, (T, replicas)."""
        more = requests.shape[1] - self._total.shape[1]
        if more:
            self._total = np.concatenate([self._total, np.zeros((2, more))], axis=1)
            self._mixture = None  # who is compared has changed: begin anew
        totals = self._total + np.stack([requests, bad], axis=1).cumsum(axis=0)
        self._total = totals[-1]
        self._mixture = self._mixture or Mixture((requests.shape[1],), len(eprocess.WORSE))
        rest = (it.sum(axis=1, keepdims=True) - it for it in (requests, bad))
        _, peaks = self._mixture.looks(eprocess.ratio(eprocess.WORSE, _RATIO, requests, bad, *rest))
        broken: Bools = (peaks >= SURE) & (totals[:, 1] >= _LEAST * totals[:, 0]) & (totals[:, 1] > 0)
        return broken
