"""What one second of traffic says: counters and a fixed-boundary histogram per arm and replica."""

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
from pydantic import Field

from domain.value import Value

Arm = Literal["stable", "candidate"]

# Boundaries in microseconds, the same for every tick, arm and release, so that histograms merge by addition:
# 48 buckets per factor of ten (ratio 1.049) from 100 µs to 100 s; the last bucket takes everything above.
BOUNDARIES = np.geomspace(1e2, 1e8, 289)


class Sample(Value):
    """One request as the router saw it."""

    arm: Arm
    replica: str
    status: int
    microseconds: int
    client: str = Field(default="", description="who asked, as far as the router can tell; empty: nobody it knows")

    @property
    def bad(self) -> bool:
        """Tell whether the service failed: a 5xx, or no answer at all (-1 or 0 in the router's log)."""
        return self.status >= 500 or self.status <= 0


class Cell(Value):
    """The counts of one replica of one arm in one look; `histogram` is sparse: bucket → requests.

    Bucket k holds latencies from boundary k-1 up to boundary k. Gauges are levels, such as the part of a core in use;
    KPIs are counts of what the business wants to happen, such as orders. `repeated` are failures of clients who had
    failed in the same look before: retries say nothing new, so neither `requests` nor `bad` holds them. An empty
    `replica` is the arm as a whole, where a source knows no more.
    """

    arm: Arm
    replica: str
    requests: int
    bad: int
    repeated: int = 0
    histogram: dict[int, int] = {}
    gauges: dict[str, float] = {}
    kpi: dict[str, int] = {}

    def latency(self) -> np.ndarray:
        """Spread the sparse histogram over all buckets; shape (290,)."""
        full = np.zeros(len(BOUNDARIES) + 1, dtype=np.int64)
        for bucket, count in self.histogram.items():
            full[bucket] = count
        return full


class Tick(Value):
    """Everything seen in one look: sufficient statistics, so that a verdict can be replayed.

    `missing` tells in words what should have been seen and was not, such as samples that never came; empty: nothing.
    """

    second: int
    cells: tuple[Cell, ...] = ()
    missing: str = ""

    def total(self, arm: Arm) -> tuple[int, int]:
        """Sum one arm: (requests, bad)."""
        cells = [cell for cell in self.cells if cell.arm == arm]
        return sum(c.requests for c in cells), sum(c.bad for c in cells)


def gather(second: int, samples: list[Sample]) -> Tick:
    """Count samples into one tick."""
    cells: dict[tuple[Arm, str], list[Sample]] = {}
    for sample in samples:
        cells.setdefault((sample.arm, sample.replica), []).append(sample)
    return Tick(second=second, cells=tuple(_count(*key, cells[key]) for key in sorted(cells)))


def _count(arm: Arm, replica: str, all_samples: list[Sample]) -> Cell:
    samples = list(_once_per_client(all_samples))
    buckets, counts = np.unique(
        np.searchsorted(BOUNDARIES, [s.microseconds for s in samples], side="right"), return_counts=True
    )
    return Cell(
        arm=arm,
        replica=replica,
        requests=len(samples),
        bad=sum(s.bad for s in samples),
        repeated=len(all_samples) - len(samples),
        histogram={int(b): int(c) for b, c in zip(buckets, counts, strict=True)},
    )


def _once_per_client(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Leave out every failure of a client after the first: a burst of retries is one event."""
    failed = set[str]()
    for sample in samples:
        again = sample.bad and sample.client in failed
        if sample.bad and sample.client:
            failed.add(sample.client)
        if not again:
            yield sample


def quantile(histogram: np.ndarray, q: float) -> float:
    """Read a quantile off a histogram in microseconds: the upper boundary of its bucket; nan when empty."""
    total = histogram.sum()
    if not total:
        return float("nan")
    bucket = int(np.searchsorted(np.cumsum(histogram), q * total))
    return float(BOUNDARIES[min(bucket, len(BOUNDARIES) - 1)])
