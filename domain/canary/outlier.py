"""One replica against its siblings: whether the harm is the version's or one machine's.

A broken candidate replica is drained. A broken stable one is left out of the comparison, so that it hides no harm.
"""

import numpy as np

from domain.canary import eprocess
from domain.canary.eprocess import Floats, Mixture

SURE = float(np.log(1 / 0.001))
"""Evidence (natural logarithm) from which a replica counts as broken."""
_RATIO = 2.0  # times the siblings' error rate: healthy replicas differ
_LEAST = 0.01  # of its own requests: a handful of errors is no broken machine


class Outliers:
    """The replicas of one arm, each tested against the rest; at least two are needed."""

    def __init__(self) -> None:
        self._mixture: Mixture | None = None
        self._total: Floats = np.zeros((2, 0))
        self._skipped = 0

    def look(self, requests: Floats, bad: Floats) -> list[int]:
        """Take one look in, one entry per replica, new ones at the end; list the places of those that are broken.

        Conditional on a look's errors a split without any says nothing, so only looks with errors are weighed.
        """
        more = len(requests) - self._total.shape[1]
        if more:
            self._total = np.concatenate([self._total, np.zeros((2, more))], axis=1)
            self._mixture = None  # who is compared has changed: begin anew
        self._total += (requests, bad)
        self._skipped += 1
        if not bad.any():
            return []
        self._mixture = self._mixture or Mixture((len(requests),), len(eprocess.WORSE))
        rest = requests.sum() - requests, bad.sum() - bad
        self._mixture.look(eprocess.ratio(eprocess.WORSE, _RATIO, requests, bad, *rest), self._skipped)
        self._skipped = 0
        return [
            int(it) for it in np.flatnonzero((self._mixture.peak >= SURE) & (self._total[1] >= _LEAST * self._total[0]))
        ]
