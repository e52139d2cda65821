"""What a judge must be for the bench to measure it: fed look after look of many runs at once."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.canary.latency import Floats, Ints
from bench.canary.world import Batch

Bools = NDArray[np.bool_]


class Rival(Protocol):
    """A judge of R runs side by side; it is made anew for each batch of runs."""

    histograms: ClassVar[bool]  # whether it reads latency: histograms cost ten times as much as errors alone

    def calibrate(self, hour: Iterable[Batch]) -> None:
        """Learn from the hour before the release; the hour is drawn only as far as it is read."""

    def look(self, batch: Batch) -> Bools:
        """Take one look at all runs; tell which roll back now, (R,)."""


class Scored(ABC):
    """A judge that rolls back where a score reaches a limit, so that the limit can be tuned to a budget."""

    histograms: ClassVar[bool] = False

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def calibrate(self, hour: Iterable[Batch]) -> None:  # noqa: B027  # a default, not a gap
        """Learn nothing: none of these tools does."""

    @abstractmethod
    def score(self, batch: Batch) -> Floats:
        """Take one look; give each run's score, (R,), or -inf where nothing is decided now."""

    def look(self, batch: Batch) -> Bools:
        """Take one look; roll back where the score has reached the limit."""
        return self.score(batch) >= self.limit


class Window:
    """The candidate's requests and failures in the last `seconds`, as a metrics store's range query sees them."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._kept: list[tuple[int, Ints, Ints]] = []

    def add(self, batch: Batch) -> tuple[Ints, Ints]:
        """Add one look, drop what is too old; return (requests, bad), each (R,)."""
        self._kept = [(s, n, x) for s, n, x in self._kept if s > batch.second - self._seconds]
        self._kept.append((batch.second, *batch.candidate.total()))
        _, requests, bad = zip(*self._kept, strict=True)
        return np.sum(requests, axis=0), np.sum(bad, axis=0)


def quantile(histogram: Ints, q: float) -> Floats:
    """Read a quantile off each row of (R, 290), interpolated within the bucket on the log scale; ms, nan when empty.

    Prometheus' histogram_quantile interpolates within a bucket, too (linearly); without it equal points would tie.
    """
    from_zero = np.cumsum(histogram, axis=1)
    total = from_zero[:, -1]
    bucket = (from_zero < (q * total)[:, None]).sum(axis=1)
    rows = np.arange(len(histogram))
    inside = np.maximum(histogram[rows, np.minimum(bucket, histogram.shape[1] - 1)], 1)
    before = from_zero[rows, np.minimum(bucket, histogram.shape[1] - 1)] - inside
    milliseconds = 0.1 * 10 ** ((bucket - 1 + (q * total - before) / inside) / 48)
    return np.where(total > 0, milliseconds, np.nan)
