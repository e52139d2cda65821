"""Ticks as arrays: which replicas there are, since when, and what counts of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from domain.canary.eprocess import Floats
from domain.canary.harm import Counts, Slow
from domain.canary.histogram import Above, Reference
from domain.canary.outlier import Outliers
from domain.canary.tick import Cell, Tick

STAND = 12  # looks for which the thresholds of latency stand


@dataclass(frozen=True)
class Seen:
    """What T looks said. `slow` is slow beyond the margin, `slower` beyond the budget; None: too little was known.

    `totals` (T, 4) are requests and bad ones, the candidate's and then the stable version's, broken replicas included;
    `broken` are the candidate's broken replicas at each look, `measures` whether any look so far told of latency.
    """

    totals: Floats
    counts: Counts
    slow: Slow | None
    slower: Slow | None
    broken: Sequence[tuple[str, ...]]
    measures: Sequence[bool]


@dataclass
class Side:
    """The replicas of one arm, in the order in which they were first sent a request; levels alone make none."""

    since: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    bad: int = 0
    broken: tuple[str, ...] = ()
    outliers: Outliers = field(default_factory=Outliers)

    def take(self, looks: Sequence[Sequence[Cell]]) -> tuple[Floats, Floats, list[tuple[str, ...]]]:
        """Count looks by replica, (T, replicas): requests, bad ones; and who is broken at each look."""
        place = {replica: number for number, replica in enumerate(self.since)}
        counts = np.zeros((2, len(looks), len(place)))
        for look, cells in enumerate(looks):
            for cell in cells:
                counts[0, look, place[cell.replica]] += cell.requests
                counts[1, look, place[cell.replica]] += cell.bad
        requests, bad = counts
        self.requests += int(requests.sum())
        self.bad += int(bad.sum())
        return requests, bad, self._broken(requests, bad)

    def _broken(self, requests: Floats, bad: Floats) -> list[tuple[str, ...]]:
        names = list(self.since)
        suspects = self.outliers.looks(requests, bad) if len(names) > 1 else np.zeros(bad.shape, dtype=np.bool_)
        if not suspects.any():
            return [self.broken] * len(requests)
        told = []
        for look in suspects:
            for place in np.flatnonzero(look):
                if names[place] not in self.broken and len(self.broken) < len(names) - 1:  # somebody must be left
                    self.broken += (names[place],)
            told.append(self.broken)
        return told


class Arms:
    """What was seen of both arms. Broken stable replicas are left out, so that they hide no harm."""

    def __init__(self, warm_up: float) -> None:
        self.candidate, self.stable = Side(), Side()
        self.first = -1
        self._warm_up = warm_up
        self._reference = Reference()
        self._thresholds: list[int] | None = None
        self._looks, self._measures = 0, False

    def begin(self, ticks: Sequence[Tick]) -> int:
        """Welcome who is new in the first of these looks; tell how many of them can be taken together.

        They have the same replicas and the same thresholds of latency, which is compared with what was known before.
        """
        self.first = ticks[0].second if self.first < 0 else self.first
        if self._looks % STAND == 0:
            self._reference.settle(STAND)
            self._thresholds = self._reference.thresholds
        for cell in ticks[0].cells:
            if cell.requests:
                self._side(cell).since.setdefault(cell.replica, ticks[0].second)
        most = min(len(ticks), STAND - self._looks % STAND)
        return next((look for look in range(1, most) if self._newcomer(ticks[look])), most)

    def take(self, ticks: Sequence[Tick], margin: int, budget: int) -> Seen:
        """Count looks that can be taken together; margin and budget of latency are in buckets."""
        own, there = ([[c for c in it.cells if c.arm == arm and c.requests] for it in ticks] for arm in _ARMS)
        requests, bad, broken = self.candidate.take(own)
        there_requests, bad_there, out = self.stable.take(there)
        totals = np.stack([it.sum(axis=1) for it in (requests, bad, there_requests, bad_there)], axis=1)
        kept = np.array([[name not in gone for name in self.stable.since] for gone in out]).reshape(bad_there.shape)
        counts = Counts(
            requests=_without_each(requests),
            bad=_without_each(bad),
            stable_requests=(there_requests * kept).sum(axis=1),
            stable_bad=(bad_there * kept).sum(axis=1),
        )
        warm = [self._warm(cells, self.candidate, tick) for cells, tick in zip(own, ticks, strict=True)]
        warm_there = [
            [cell for cell in self._warm(cells, self.stable, tick) if cell.replica not in gone]
            for cells, tick, gone in zip(there, ticks, out, strict=True)
        ]
        slow, slower = self._slow(warm, warm_there, (margin, budget))
        self._looks += len(ticks)
        return Seen(totals, counts, slow, slower, broken, [self._measure(tick) for tick in ticks])

    def _slow(
        self, own: list[list[Cell]], there: list[list[Cell]], shifts: tuple[int, int]
    ) -> tuple[Slow, Slow] | tuple[None, None]:
        thresholds = tuple(self._thresholds or ())
        fresh, above = self._reference.fresh, _counter(thresholds)
        stable = np.array([above((cell.histogram for cell in cells), fresh) for cells in there], dtype=np.float64)
        if not thresholds:
            return None, None
        beyond = _counter(tuple(bucket + shift for shift in shifts for bucket in thresholds))
        told = [[beyond(it) for it in self._by_replica(cells)] for cells in own]
        counted = np.moveaxis(np.array(told, dtype=np.float64).reshape(len(own), -1, 1 + 2 * len(thresholds)), 1, -1)
        each = np.moveaxis(_without_each(counted), -1, 1)  # (T, V, all requests and both shifts' quantiles)
        seen, parts = each[..., 0], (each[..., 1 : 1 + len(thresholds)], each[..., 1 + len(thresholds) :])
        first, second = (Slow(seen, np.ascontiguousarray(it), stable[:, 0], stable[:, 1:]) for it in parts)
        return first, second

    def _by_replica(self, cells: Sequence[Cell]) -> list[list[dict[int, int]]]:
        told: dict[str, list[dict[int, int]]] = {replica: [] for replica in self.candidate.since}
        for cell in cells:
            told[cell.replica].append(cell.histogram)
        return list(told.values())

    def _warm(self, cells: Sequence[Cell], side: Side, tick: Tick) -> list[Cell]:
        """Find whose latency counts: who has been there for long enough; the stable ones of the first look have."""
        since, late = side.since, tick.second - self._warm_up
        first = self.first if side is self.stable else None
        return [it for it in cells if it.histogram and (since[it.replica] <= late or since[it.replica] == first)]

    def _measure(self, tick: Tick) -> bool:
        self._measures = self._measures or any(cell.histogram for cell in tick.cells)
        return self._measures

    def _newcomer(self, tick: Tick) -> bool:
        return any(cell.requests and cell.replica not in self._side(cell).since for cell in tick.cells)

    def _side(self, cell: Cell) -> Side:
        return self.candidate if cell.arm == "candidate" else self.stable


_ARMS = ("candidate", "stable")


@lru_cache(maxsize=64)
def _counter(thresholds: tuple[int, ...]) -> Above:
    return Above(thresholds)


def _without_each(counts: Floats) -> Floats:
    """Put the sum first, then the sums that leave each one out; along the last axis."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.concatenate([total, total - counts], axis=-1)
