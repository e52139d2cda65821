"""The textbook test, looked at again and again: a one-sided z test of two proportions on all that was seen so far."""

import numpy as np

from bench.canary.latency import Floats
from bench.canary.rivals.rival import Scored
from bench.canary.world import Batch

ONE_PERCENT = 2.326  # what one single look may use at 1 %


class ZTest(Scored):
    """Roll back where the pooled z of the error rates reaches the limit, at every look.

    With `ONE_PERCENT` this is the naive use of the test; with a limit from `tune.limit` it is the fair one, which has
    to be simulated for each service and horizon anew. Below `at_least` failures it does not decide: a single early one
    would often do, and a tuned limit would have to pay for that.
    """

    def __init__(self, runs: int, limit: float = ONE_PERCENT, *, at_least: int = 3) -> None:
        super().__init__(limit)
        self._at_least = at_least
        self._seen = np.zeros((4, runs), dtype=np.int64)

    def score(self, batch: Batch) -> Floats:
        """Give z of all that was seen until now."""
        self._seen += np.stack([*batch.candidate.total(), *batch.stable.total()])
        n_c, x_c, n_s, x_s = self._seen.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            pooled = (x_c + x_s) / (n_c + n_s)
            z = (x_c / n_c - x_s / n_s) / np.sqrt(pooled * (1 - pooled) * (1 / n_c + 1 / n_s))
        return np.where((x_c >= self._at_least) & np.isfinite(z), z, -np.inf)
