"""Latencies as users have them: from the moment a request was due."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], part: float) -> float:
    """Take the value at a rank (nearest): at least `part` of all are not above it; nan when there are none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


@dataclass(frozen=True)
class Course:
    """Requests of one load, each in milliseconds from when it was due; `last_due` is in seconds since the epoch."""

    milliseconds: Sequence[float]
    last_due: float

    @classmethod
    def read(cls, log: Iterable[str]) -> "Course":
        """Read pgbench's log of a load with a rate: client, number, µs since it was due, script, end (s, µs), lag."""
        took, last_due = [], 0.0
        for line in log:
            _client, _number, elapsed, _script, second, micro, _lag = line.split()
            took.append(int(elapsed) / 1e3)
            last_due = max(last_due, int(second) + (int(micro) - int(elapsed)) / 1e6)
        return cls(took, last_due)

    def over(self, milliseconds: float) -> int:
        """Count the requests that took longer."""
        return sum(took > milliseconds for took in self.milliseconds)

    def never_sent(self, rate: float, until: float) -> int:
        """Estimate how many were due and found no free connection before the load ended (seconds since the epoch).

        Arrivals are random, and pgbench takes a moment to start: what is missing of a quarter of a second is 0.
        """
        missing = until - self.last_due
        return round(missing * rate) if missing > 0.25 else 0
