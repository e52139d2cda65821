"""Several looks as one."""

from collections.abc import Iterable
from typing import TypeVar

from domain.canary.tick import Arm, Cell, Tick

K = TypeVar("K", int, str)


def join(second: int, parts: Iterable[Tick]) -> Tick:
    """Add up counts, histograms and KPIs of the same replica; of gauges the last one stands; all that is missing is."""
    parts = tuple(parts)
    cells: dict[tuple[Arm, str], Cell] = {}
    for cell in (cell for part in parts for cell in part.cells):
        key = cell.arm, cell.replica
        cells[key] = _sum(cells[key], cell) if key in cells else cell
    missing = "; ".join(dict.fromkeys(part.missing for part in parts if part.missing))
    return Tick(second=second, cells=tuple(cells[key] for key in sorted(cells)), missing=missing)


def _sum(one: Cell, other: Cell) -> Cell:
    return Cell(
        arm=one.arm,
        replica=one.replica,
        requests=one.requests + other.requests,
        bad=one.bad + other.bad,
        repeated=one.repeated + other.repeated,
        histogram=_added(one.histogram, other.histogram),
        gauges=one.gauges | other.gauges,
        kpi=_added(one.kpi, other.kpi),
    )


def _added(one: dict[K, int], other: dict[K, int]) -> dict[K, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in sorted(one.keys() | other.keys())}
