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
    """Requests of one load, in milliseconds from when each was due; first and last due in seconds since the epoch."""

    milliseconds: Sequence[float]
    first_due: float
    last_due: float

    @classmethod
    def read(cls, log: Iterable[str]) -> "Course":
        """Read pgbench's log of a load with a rate: client, number, µs since it was due, script, end (s, µs), lag."""
        took, due = [], []
        for line in log:
            _client, _number, elapsed, _script, second, micro, _lag = line.split()
            took.append(int(elapsed) / 1e3)
            due.append(int(second) + (int(micro) - int(elapsed)) / 1e6)
        return cls(took, min(due, default=0.0), max(due, default=0.0))

    def over(self, milliseconds: float) -> int:
        """Count the requests that took longer."""
        return sum(took > milliseconds for took in self.milliseconds)

    def never_sent(self, rate: float, seconds: float) -> int:
        """Estimate how many were due and found no free connection until the load of so many seconds ended.

        Arrivals are random: what is missing of the last quarter of a second is called chance, 0.
        """
        missing = seconds - (self.last_due - self.first_due)
        return round(missing * rate) if missing > 0.25 else 0
