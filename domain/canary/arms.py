"""Ticks as arrays: which replicas there are, since when, and what counts of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import or_

import numpy as np

from domain.canary.eprocess import Bools, Floats
from domain.canary.harm import Counts, Slow
from domain.canary.histogram import NOWHERE, Reference
from domain.canary.outlier import Outliers
from domain.canary.rows import Ints, Rows, Timed, rows
from domain.canary.tick import Arm, Tick

TOGETHER = 120  # looks at most: more were no faster


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

    arm: Arm
    since: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    bad: int = 0
    broken: tuple[str, ...] = ()
    outliers: Outliers = field(default_factory=Outliers)

    def take(self, told: Rows) -> tuple[Floats, Floats, list[tuple[str, ...]]]:
        """Count looks by replica, (T, replicas): requests, bad ones; and who is broken at each look."""
        requests, bad = told.counted(it.requests for it in told.cells), told.counted(it.bad for it in told.cells)
        self.requests += int(requests.sum())
        self.bad += int(bad.sum())
        return requests, bad, self._broken(requests, bad)

    def without(self, gone: Sequence[tuple[str, ...]]) -> Bools:
        """Tell who is left at each look when some are gone, (T, replicas)."""
        if not any(gone):
            return np.ones((len(gone), len(self.since)), dtype=np.bool_)
        return np.array([[name not in some for name in self.since] for some in gone])

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
        self.candidate, self.stable = Side("candidate"), Side("stable")
        self.first = -1
        self._warm_up = warm_up
        self._reference = Reference()
        self._measures = False

    def begin(self, ticks: Sequence[Tick]) -> int:
        """Welcome who is new in the first of these looks; tell how many of them, taken together, know nobody else."""
        self.first = ticks[0].second if self.first < 0 else self.first
        since = {side.arm: side.since for side in (self.candidate, self.stable)}
        for cell in ticks[0].cells:
            if cell.requests:
                since[cell.arm].setdefault(cell.replica, ticks[0].second)
        most = min(len(ticks), TOGETHER)
        newcomers = (
            look
            for look, tick in enumerate(ticks[:most])
            for cell in tick.cells
            if cell.replica not in since[cell.arm] and cell.requests
        )
        return next(newcomers, most)

    def take(self, ticks: Sequence[Tick], margin: int, budget: int) -> Seen:
        """Count looks that can be taken together; margin and budget of latency are in buckets."""
        own, there = (rows(ticks, side.arm, side.since) for side in (self.candidate, self.stable))
        requests, bad, broken = self.candidate.take(own)
        there_requests, bad_there, out = self.stable.take(there)
        totals = np.stack([it.sum(axis=1) for it in (requests, bad, there_requests, bad_there)], axis=1)
        kept = self.stable.without(out)
        counts = Counts(
            requests=_without_each(requests),
            bad=_without_each(bad),
            stable_requests=(there_requests * kept).sum(axis=1),
            stable_bad=(bad_there * kept).sum(axis=1),
        )
        seconds = np.array([tick.second for tick in ticks])
        warm = own.timed(self._warm(own, self.candidate, seconds))
        warm_there = there.timed(self._warm(there, self.stable, seconds) & kept[there.look, there.place])
        slow, slower = self._slow(warm, warm_there, (margin, budget))
        return Seen(totals, counts, slow, slower, broken, self._measured(ticks))

    def _slow(self, own: Timed, there: Timed, shifts: tuple[int, int]) -> tuple[Slow, Slow] | tuple[None, None]:
        """Count who is slower than the thresholds by each of two shifts, at the looks that knew any."""
        thresholds = self._reference.looks(there)
        known = thresholds[:, 0] < NOWHERE
        if not known.any():
            return None, None
        own, there = (it.where(known[it.look]) for it in (own, there))
        stable = there.above(thresholds).sum(axis=-1)
        first, second = (_without_each(own.above(thresholds + shift)) for shift in shifts)
        return _told(first, stable, known), _told(second, stable, known)

    def _warm(self, told: Rows, side: Side, seconds: Ints) -> Bools:
        """Find whose latency counts: who has been there for long enough; the stable ones of the first look have."""
        since = np.array(list(side.since.values()), dtype=np.intp)[told.place]
        warm: Bools = since <= seconds[told.look] - self._warm_up
        return warm | (since == self.first) if side is self.stable else warm

    def _measured(self, ticks: Sequence[Tick]) -> list[bool]:
        """Tell at each look whether any so far told of latency."""
        if self._measures:
            return [True] * len(ticks)
        measures = list(accumulate((any(cell.histogram for cell in tick.cells) for tick in ticks), or_))
        self._measures = measures[-1]
        return measures


def _told(own: Floats, stable: Floats, known: Bools) -> Slow:
    """Part all requests from the slow ones, of (1 + Q, T, V) and of (1 + Q, T)."""
    return Slow(own[0], np.moveaxis(own[1:], 0, -1), stable[0], stable[1:].T, known[:, None])


def _without_each(counts: Floats) -> Floats:
    """Put the sum first, then the sums that leave each one out; along the last axis."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.concatenate([total, total - counts], axis=-1)
