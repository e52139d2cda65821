"""Flagger's progressive delivery: absolute thresholds, every interval, on the candidate alone.

Source: fluxcd/flagger @15bd6ad (2026-07-21), pkg/controller/scheduler.go and scheduler_metrics.go.
"""

from typing import ClassVar

import numpy as np

from bench.canary.latency import BUCKETS, Floats
from bench.canary.rivals.rival import Scored, quantile
from bench.canary.world import Batch


class Flagger(Scored):
    """Roll back at `threshold` failed checks, which are counted up and never down.

    Every `interval` seconds (60; its window is as long) `request-success-rate` must be at least `success` and, with
    `slowest`, the p99 of `request-duration` at most that many ms. No request in the window counts as a failed check
    (`ErrNoValuesFound`). The documentation's examples have thresholds of 5 to 10, 99 % and 500 ms.
    """

    histograms: ClassVar[bool] = False

    def __init__(self, runs: int, threshold: float = 5, *, success: float = 0.99, interval: int = 60) -> None:
        super().__init__(threshold)
        self._success, self._interval = success, interval
        self._counts = np.zeros((2, runs), dtype=np.int64)
        self._failed = np.zeros(runs)

    def score(self, batch: Batch) -> Floats:
        """Give the number of failed checks, when a check is due."""
        self._counts += np.stack(batch.candidate.total())
        if batch.second % self._interval:
            return np.full(len(self._failed), -np.inf)
        requests, bad = self._counts
        self._failed += (requests == 0) | (bad > (1 - self._success) * requests) | self._slow()
        self._counts[:] = 0
        return self._failed.copy()

    def _slow(self) -> np.ndarray:
        return np.zeros(len(self._failed), dtype=bool)


class FlaggerWithLatency(Flagger):
    """The same with its second built-in check, the p99 of `request-duration`."""

    histograms: ClassVar[bool] = True

    def __init__(
        self, runs: int, threshold: float = 5, *, success: float = 0.99, slowest: float = 500.0, interval: int = 60
    ) -> None:
        super().__init__(runs, threshold, success=success, interval=interval)
        self._slowest = slowest
        self._latency = np.zeros((runs, BUCKETS), dtype=np.int64)

    def score(self, batch: Batch) -> Floats:
        """Give the number of failed checks, when a check is due."""
        self._latency += batch.candidate.latency()
        return super().score(batch)

    def _slow(self) -> np.ndarray:
        slow = quantile(self._latency, 0.99) > self._slowest
        self._latency[:] = 0
        return slow
