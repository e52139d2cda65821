"""Our own judge's evidence on many runs at once: the same code that judges one release, on arrays of releases."""

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from bench.canary.latency import Ints
from bench.canary.rivals.rival import Bools
from bench.canary.world import Batch
from domain.canary.calibration import BLOCK, DEFAULT_ERRORS, Spread, excess
from domain.canary.criteria import Criteria
from domain.canary.eprocess import Floats
from domain.canary.harm import Counts as Seen
from domain.canary.harm import Harm, Margins
from domain.canary.judge import ERRORS


class Ours:
    """Errors only: roll back where harm is shown, whichever replica of the candidate is left out.

    `spread` is what is assumed between healthy replicas; None: measured in the hour before, for each run by itself.
    """

    histograms: ClassVar[bool] = False

    def __init__(self, runs: int, criteria: Criteria, *, spread: float | None = None) -> None:
        self._criteria, self._spread = criteria, np.full(runs, DEFAULT_ERRORS if spread is None else spread)
        self._measures = spread is None
        self._harm: Harm | None = None

    def calibrate(self, hour: Iterable[Batch]) -> None:
        """Measure what differs between the stable replicas of each run, over blocks of five minutes."""
        if not self._measures:
            return
        blocks: dict[int, list[Floats]] = {}
        for batch in hour:
            counts = np.stack([batch.stable.requests, batch.stable.bad]).astype(np.float64)
            blocks.setdefault(batch.second // BLOCK, []).append(counts)
        told = [excess(*np.sum(block, axis=0)) for block in blocks.values()]
        self._spread = np.sqrt(np.maximum(np.mean(told, axis=0), 0.0))

    def look(self, batch: Batch) -> Bools:
        """Take one look at all runs; tell which roll back now."""
        if self._harm is None:
            self._harm = self._begin(batch)
        requests, bad = (_without_each(it) for it in (batch.candidate.requests, batch.candidate.bad))
        stable = batch.stable.total()
        one = Seen(*(it.astype(np.float64)[None] for it in (requests, bad, *stable)))
        shown = self._harm.looks(one)
        back: Bools = shown.crosses(shown.errors, math.log(1 / (self._criteria.alpha * ERRORS)))[0]
        return back

    def _begin(self, batch: Batch) -> Harm:
        own, there = batch.candidate.requests.shape[1], batch.stable.requests.shape[1]
        spreads = [Spread(errors=it, latency=0.0, source="") for it in self._spread]
        ratios = [it.widened(self._criteria.error_ratio, own, there) for it in spreads]
        harm = Harm(Margins(np.array(ratios)[:, None], self._criteria.error_floor), (len(ratios),))
        for _ in range(own):
            harm.join()
        return harm


def floored(errors: float) -> float:
    """Set the floor as a careful owner would: a quarter above the usual error rate, and never below 0.2 %."""
    return max(0.002, 1.25 * errors)


def _without_each(counts: Ints) -> Floats:
    plain = np.asarray(counts, dtype=np.float64)
    total = plain.sum(axis=1, keepdims=True)
    return np.concatenate([total, total - plain], axis=1)
