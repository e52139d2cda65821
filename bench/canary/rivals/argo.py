"""Argo Rollouts' analysis run: a condition on one metric of the candidate, measured every interval.

Source: argoproj/argo-rollouts @9f8d111 (2026-08-17), analysis/analysis.go (assessMetricFailureInconclusiveOrError) and
utils/evaluate/evaluate.go; the defaults are from utils/defaults/defaults.go.
"""

import numpy as np

from bench.canary.latency import Floats
from bench.canary.rivals.rival import Bools, Scored, Window
from bench.canary.world import Batch

ERROR_RETRY = 10  # seconds


class Argo(Scored):
    """Abort when failed measurements exceed `failure_limit`, or errors in a row `consecutive_error_limit`.

    Defaults are Argo's (0 and 4; interval and window have none, 30 and 60 s are ours). A measurement is the candidate's
    error ratio over the last `window` seconds: at `fail_above` it is Failed, below `succeed_below` (default: the same)
    Successful, between them Inconclusive; without any request the query's vector is empty, which is an Error, and is
    asked again after 10 s. Failures are never forgotten; only errors must come in a row. More than `inconclusive_limit`
    inconclusive ones pause the rollout for a human (`paused`): no roll-back.
    """

    def __init__(
        self,
        runs: int,
        failure_limit: float = 0,
        *,
        fail_above: float = 0.01,
        succeed_below: float | None = None,
        consecutive_error_limit: int = 4,
        inconclusive_limit: int = 0,
        interval: int = 30,
        window: int = 60,
    ) -> None:
        super().__init__(failure_limit + 1)
        self._fail_above = fail_above
        self._succeed_below = fail_above if succeed_below is None else succeed_below
        self._error_limit, self._inconclusive_limit = consecutive_error_limit, inconclusive_limit
        self._interval = interval
        self._window = Window(window)
        self._due = np.full(runs, interval)
        self._failed, self._inconclusive, self._errors = np.zeros((3, runs))
        self.paused: Bools = np.zeros(runs, dtype=bool)

    def score(self, batch: Batch) -> Floats:
        """Give the number of failed measurements, inf where errors in a row ended the run, -inf where none is due."""
        requests, bad = self._window.add(batch)
        due = (self._due <= batch.second) & ~self.paused
        empty = requests == 0
        ratio = bad / np.maximum(requests, 1)
        failed = due & ~empty & (ratio >= self._fail_above)
        self._failed += failed
        self._inconclusive += due & ~empty & ~failed & (ratio >= self._succeed_below)
        self._errors = np.where(due, np.where(empty, self._errors + 1, 0), self._errors)
        self._due = np.where(due, batch.second + np.where(empty, ERROR_RETRY, self._interval), self._due)
        score = np.where(self._errors > self._error_limit, np.inf, self._failed)
        self.paused |= (self._inconclusive > self._inconclusive_limit) & (score < self.limit)
        return np.where(due, score, -np.inf)
