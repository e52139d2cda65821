"""The cells of one arm in many looks as arrays, so that numpy counts them together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from domain.canary.eprocess import Bools, Floats
from domain.canary.tick import Arm, Cell, Tick

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Timed:
    """Requests by latency, (P,) each, looks rising: the look, the replica (by place), the bucket, and how many."""

    look: Ints
    place: Ints
    bucket: Ints
    count: Floats
    shape: tuple[int, int]  # looks, replicas

    def where(self, kept: Bools) -> "Timed":
        """Leave out all that is not to be kept."""
        return Timed(self.look[kept], self.place[kept], self.bucket[kept], self.count[kept], self.shape)

    def above(self, thresholds: Ints) -> Floats:
        """Count all requests, and those above each threshold (T, Q) of their look: (1 + Q, T, replicas)."""
        slow = (self.bucket[:, None] > thresholds[self.look]).T
        return np.stack([_sums(self, weights) for weights in (self.count, *(self.count * slow))])


@dataclass(frozen=True)
class Rows:
    """The cells that tell of requests, one row each: at which look, and of which replica (by place)."""

    look: Ints
    place: Ints
    cells: Sequence[Cell]
    shape: tuple[int, int]  # looks, replicas

    def counted(self, numbers: Iterable[int]) -> Floats:
        """Sum up one number of each row by look and replica, (T, replicas)."""
        return _sums(self, np.fromiter(numbers, dtype=np.float64))

    def timed(self, kept: Bools) -> Timed:
        """Take the latencies of those rows that are kept."""
        rows = np.flatnonzero(kept)
        histograms = [self.cells[row].histogram for row in rows.tolist()]
        rows = rows.repeat(list(map(len, histograms)))
        bucket = np.fromiter(chain.from_iterable(histograms), dtype=np.intp)
        count = np.fromiter(chain.from_iterable(it.values() for it in histograms), dtype=np.float64)
        return Timed(self.look[rows], self.place[rows], bucket, count, self.shape)


def rows(ticks: Sequence[Tick], arm: Arm, replicas: Iterable[str]) -> Rows:
    """Find what looks say of the replicas of one arm, each of which has its place."""
    places: Mapping[str, int] = {replica: place for place, replica in enumerate(replicas)}
    told = [
        (look, places[cell.replica], cell)
        for look, tick in enumerate(ticks)
        for cell in tick.cells
        if cell.arm == arm and cell.requests
    ]
    look, place, cells = zip(*told, strict=True) if told else ((), (), ())
    return Rows(np.array(look, np.intp), np.array(place, np.intp), cells, (len(ticks), len(places)))


def _sums(of: Rows | Timed, weights: Floats) -> Floats:
    looks, replicas = of.shape
    sums: Floats = np.bincount(of.look * replicas + of.place, weights, looks * replicas).astype(np.float64, copy=False)
    return sums.reshape(of.shape)
