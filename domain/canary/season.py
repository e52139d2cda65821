"""A bake beside the service's own past: looks become minutes, and minutes are held against what is usual then.

It decides only where the past holds enough good bakes; else it says how many are missing.
"""

from collections.abc import Iterable

import numpy as np

from domain.canary.criteria import Season
from domain.canary.residual import Past, Residual
from domain.canary.tick import Tick

_MINUTE = 60


def past_of(ticks: Iterable[Tick]) -> Past:
    """Sum looks up by the minute; `second` counts from the epoch. Both arms are one service."""
    seen: dict[int, list[int]] = {}
    for tick in ticks:
        minute = seen.setdefault(tick.second // _MINUTE, [0, 0])
        for arm in ("candidate", "stable"):
            requests, bad = tick.total(arm)
            minute[0] += requests
            minute[1] += bad
    minutes = sorted(seen)
    counts = np.array([seen[minute] for minute in minutes], dtype=np.float64).reshape(-1, 2)
    return Past(np.array(minutes, dtype=np.int64), counts[:, 0], counts[:, 1])


class Usual:
    """Watches a version with all traffic; a minute counts when it is over."""

    def __init__(self, asked: Season, past: Past) -> None:
        self._residual = Residual(past, max(1, round(asked.bake / _MINUTE)), asked.alpha)
        self._minute, self._counts, self._fired = -1, [0, 0], False

    @property
    def missing(self) -> str:
        """Say why nothing is decided; empty where the past suffices."""
        return self._residual.missing

    @property
    def words(self) -> str:
        """Say that the failures are unusual; empty until they are."""
        if not self._fired:
            return ""
        height, limit = float(self._residual.height), float(self._residual.limit)
        return f"failures add up to {height:.1f}, on placebo bakes of the past to {limit:.1f} at most"

    def look(self, tick: Tick) -> None:
        """Take one look in."""
        minute = tick.second // _MINUTE
        if minute != self._minute and self._minute >= 0:
            requests, bad = (np.asarray(float(count)) for count in self._counts)
            self._fired |= bool(self._residual.look(self._minute, requests, bad))
            self._counts = [0, 0]
        self._minute = minute
        self._counts = [count + more for count, more in zip(self._counts, tick.total("candidate"), strict=True)]
