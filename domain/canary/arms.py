"""Ticks as arrays: which replicas there are, since when, and what counts of them."""

from dataclasses import dataclass, field

import numpy as np

from domain.canary.eprocess import Floats
from domain.canary.harm import Counts, Slow
from domain.canary.histogram import Reference, above
from domain.canary.outlier import Outliers
from domain.canary.tick import Cell, Tick


@dataclass
class Side:
    """The replicas of one arm, in the order in which they were first sent a request; levels alone make none."""

    since: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    bad: int = 0
    broken: list[str] = field(default_factory=list)
    outliers: Outliers = field(default_factory=Outliers)

    def take(self, cells: list[Cell], second: int) -> tuple[Floats, Floats]:
        """Count one look's requests and bad ones by replica; newcomers come last."""
        for cell in cells:
            self.since.setdefault(cell.replica, second)
        place = {replica: number for number, replica in enumerate(self.since)}
        counts = np.zeros((2, len(place)))
        for cell in cells:
            counts[:, place[cell.replica]] += (cell.requests, cell.bad)
            self.requests += cell.requests
            self.bad += cell.bad
        if len(place) > 1:
            self._suspect(counts)
        return counts[0], counts[1]

    def _suspect(self, counts: Floats) -> None:
        names = list(self.since)
        for place in self.outliers.look(counts[0], counts[1]):
            if names[place] not in self.broken and len(self.broken) < len(names) - 1:  # somebody must be left
                self.broken.append(names[place])


class Arms:
    """What was seen of both arms. Broken stable replicas are left out, so that they hide no harm."""

    def __init__(self, warm_up: float) -> None:
        self.candidate, self.stable = Side(), Side()
        self.first, self.measures_latency = -1, False
        self._warm_up = warm_up
        self._reference = Reference()

    def take(self, tick: Tick, margin: int, budget: int) -> tuple[Counts, Slow | None, Slow | None]:
        """Count one look: requests, and what is slow beyond a margin and beyond a budget (both in buckets).

        Latency is compared with what was known before this look; None: too little was.
        """
        self.first = tick.second if self.first < 0 else self.first
        own = [cell for cell in tick.cells if cell.arm == "candidate" and cell.requests]
        there = [cell for cell in tick.cells if cell.arm == "stable" and cell.requests]
        requests, bad = self.candidate.take(own, tick.second)
        stable_requests, stable_bad = self.stable.take(there, tick.second)
        kept = [replica not in self.stable.broken for replica in self.stable.since]
        counts = Counts(
            requests=_without_each(requests),
            bad=_without_each(bad),
            stable_requests=stable_requests[kept].sum(),
            stable_bad=stable_bad[kept].sum(),
        )
        there = [
            cell for cell in there if cell.replica not in self.stable.broken and self._warm(cell, self.stable, tick)
        ]
        self.measures_latency |= any(cell.histogram for cell in tick.cells)
        thresholds = self._reference.thresholds
        slow = self._slow(own, there, tick, thresholds, (margin, budget)) if thresholds else (None, None)
        self._reference.add([cell.histogram for cell in there])
        return counts, *slow

    def _slow(
        self, own: list[Cell], there: list[Cell], tick: Tick, thresholds: list[int], shifts: tuple[int, int]
    ) -> tuple[Slow, Slow]:
        place = {replica: number for number, replica in enumerate(self.candidate.since)}
        seen, slow = np.zeros(len(place)), np.zeros((2, len(place), len(thresholds)))
        wanted = [bucket + shift for shift in shifts for bucket in thresholds]
        for cell in own:
            if cell.histogram and self._warm(cell, self.candidate, tick):
                seen[place[cell.replica]] += sum(cell.histogram.values())
                slow[:, place[cell.replica]] += np.reshape(above(cell.histogram, wanted), (2, -1))
        stable = np.asarray(float(sum(sum(cell.histogram.values()) for cell in there)))
        stable_slow = np.sum([above(cell.histogram, thresholds) for cell in there], axis=0, initial=0.0)
        if np.ndim(stable_slow) == 0:
            stable_slow = np.zeros(len(thresholds))
        beyond = [np.concatenate([it.sum(axis=0, keepdims=True), it.sum(axis=0) - it]) for it in slow]
        first, second = (Slow(_without_each(seen), it, stable, stable_slow) for it in beyond)
        return first, second

    def _warm(self, cell: Cell, side: Side, tick: Tick) -> bool:
        """Tell whether a replica has been there for long enough; the stable ones of the first look have."""
        since = side.since[cell.replica]
        old = side is self.stable and since == self.first
        return old or tick.second - since >= self._warm_up


def _without_each(counts: Floats) -> Floats:
    """Put the sum first, then the sums that leave each one out."""
    total = counts.sum()
    return np.concatenate([[total], total - counts])
