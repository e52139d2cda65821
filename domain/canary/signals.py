"""What else may tell of harm: business counts that drop, levels that rise."""

from collections import defaultdict
from collections.abc import Sequence, Set

import numpy as np

from domain.canary import eprocess
from domain.canary.criteria import Gauge, Kpi
from domain.canary.eprocess import Mixture
from domain.canary.tick import Arm, Tick

BLOCK = 30  # looks; levels change slowly, so half a minute is one observation


class Drop:
    """A KPI per request: the candidate's must not be lower than the stable version's by more than the margin."""

    def __init__(self, name: str, asked: Kpi) -> None:
        self.name, self._tolerated = name, 1 - asked.margin
        self._mixture = Mixture((), len(eprocess.DROPS))
        self._requests: dict[Arm, int] = {"candidate": 0, "stable": 0}

    def looks(self, ticks: Sequence[Tick]) -> list[float]:
        """Take looks in; return the evidence (natural logarithm) of a drop at each, at its peak.

        What is counted less often than requests are, or by another source, belongs to all requests since it was told
        last.
        """
        counted = [self._count(tick) for tick in ticks]
        told = [it for it in counted if it is not None]
        weighed = eprocess.ratio(eprocess.DROPS, self._tolerated, *np.array(told, dtype=np.float64).reshape(-1, 4).T)
        return self._mixture.peaks([it is not None for it in counted], weighed)

    def _count(self, tick: Tick) -> tuple[int, int, int, int] | None:
        """Give requests and counts, the candidate's and the stable version's, when the tick tells of the KPI."""
        counted: dict[Arm, int] = {"candidate": 0, "stable": 0}
        told = False
        for cell in tick.cells:
            self._requests[cell.arm] += cell.requests
            count = cell.kpi.get(self.name)
            if count is not None:
                counted[cell.arm] += count
                told = True
        if not told:
            return None
        requests, self._requests = self._requests, {"candidate": 0, "stable": 0}
        return requests["candidate"], counted["candidate"], requests["stable"], counted["stable"]


class Rise:
    """A gauge: the candidate's median may exceed the stable version's by the margin only as often as is tolerated."""

    def __init__(self, name: str, asked: Gauge) -> None:
        self.name, self._asked = name, asked
        self._mixture = Mixture((), len(eprocess.HIGHER))
        self._block: dict[tuple[Arm, str], list[float]] = defaultdict(list)
        self._looks = 0

    def looks(self, ticks: Sequence[Tick], warm: float) -> list[float]:
        """Take looks in; the candidate counts from second `warm` on. Return the evidence at each, at its peak."""
        risen = [self._risen(tick, warm) for tick in ticks]
        told = np.array([it for it in risen if it is not None], dtype=np.float64)
        weighed = eprocess.level(eprocess.HIGHER, self._asked.often, np.ones_like(told), told)
        return self._mixture.peaks([it is not None for it in risen], weighed)

    def _risen(self, tick: Tick, warm: float) -> bool | None:
        """Take one look in; tell at the end of a block whether the level is higher, if both arms told theirs."""
        heard: Set[Arm] = {"candidate", "stable"} if tick.second >= warm else {"stable"}
        for cell in tick.cells:
            level = cell.gauges.get(self.name)
            if level is not None and cell.arm in heard:
                self._block[cell.arm, cell.replica].append(level)
        self._looks += 1
        if self._looks % BLOCK:
            return None
        own, stable = self._median("candidate"), self._median("stable")
        self._block = defaultdict(list)
        return None if own is None or stable is None else own > stable * (1 + self._asked.margin)

    def _median(self, arm: Arm) -> float | None:
        means = [float(np.mean(seen)) for (side, _), seen in self._block.items() if side == arm]
        return float(np.median(means)) if means else None
