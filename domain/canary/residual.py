"""Whether a version with all traffic behaves as the service usually does at this time: there is nothing beside it.

Failures (or orders) a minute are held against what the season expects, and what is left over is summed up by a CUSUM
(Page, "Continuous inspection schemes", Biometrika 1954). How high it climbs on a good day is not computed from a model
but seen: on placebo bakes, stretches of the past in which nothing was released and which the season was not fitted to.
If the coming bake is exchangeable with n placebo bakes, it climbs above their j-th highest peak with probability at
most j / (n+1) (split conformal; Vovk et al., "Algorithmic Learning in a Random World", 2005). It is exchangeable only
as far as no week is unlike the last ones; docs/judge.md tells what that costs.

Arrays are (..., T): many services side by side, minute after minute.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.canary.eprocess import Bools, Floats

DAY, _HOUR = 1440, 60  # minutes
_PARTS = 24  # of a day, each with a level of its own
_PRIOR = 5.0  # events: a part of the day that saw few is drawn to what is usual
_FITTED = 2 / 3  # of the past; the rest is for placebos
SLACK = 0.5
"""Standard deviations a minute that the CUSUM forgives. Tuned on bench/canary's tuning seeds among 0.25, 0.5 and 1."""


@dataclass(frozen=True)
class Past:
    """Minutes since the epoch, (T,), rising, with gaps where nothing was seen; requests and events are (..., T)."""

    minutes: NDArray[np.int64]
    requests: Floats
    events: Floats

    def part(self, where: slice) -> "Past":
        """Take a stretch of it."""
        return Past(self.minutes[where], self.requests[..., where], self.events[..., where])


NO_PAST = Past(np.array([], dtype=np.int64), np.array([]), np.array([]))


class Profile:
    """What is usual: events per request, times a level for the part of the day and one for the minute of the hour."""

    def __init__(self, past: Past, day: int = DAY) -> None:
        self._day = day
        total = past.requests.sum(axis=-1, keepdims=True)
        self._rate = np.maximum(past.events.sum(axis=-1, keepdims=True), 0.5) / np.maximum(total, 1.0)
        self._levels = [np.ones((*past.events.shape[:-1], size)) for size in (_PARTS, _HOUR)]
        for number in (0, 1, 0):  # the first again, once the second is known
            self._fit(number, past)

    def expected(self, minutes: NDArray[np.int64], requests: Floats) -> Floats:
        """Give the events to expect in these minutes at this traffic."""
        levels = (level[..., place] for level, place in zip(self._levels, self._places(minutes), strict=True))
        told: Floats = requests * self._rate * math.prod(levels, start=np.ones(1))
        return told

    def _places(self, minutes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return minutes % self._day * _PARTS // self._day, minutes % _HOUR

    def _fit(self, number: int, past: Past) -> None:
        place, size = self._places(past.minutes)[number], self._levels[number].shape[-1]
        belongs = (place[:, None] == np.arange(size)).astype(np.float64)
        self._levels[number] = np.ones_like(self._levels[number])
        expected = self.expected(past.minutes, past.requests) @ belongs
        self._levels[number] = (past.events @ belongs + _PRIOR) / (expected + _PRIOR)


class Residual:
    """One bake of so many minutes after a past; `look` minute by minute. `falling`: events must not become fewer.

    It fires where `height` is above `limit`. Where the past holds too few placebo bakes for `alpha` the limit is
    infinite, and `missing` says why.
    """

    def __init__(
        self, past: Past, bake: int, alpha: float = 0.01, *, falling: bool = False, day: int = DAY, slack: float = SLACK
    ) -> None:
        self._sign, self._slack = -1.0 if falling else 1.0, slack
        cut = int(len(past.minutes) * _FITTED)
        fitted, kept = past.part(slice(None, cut)), past.part(slice(cut, None))
        self._profile = Profile(fitted, day)
        self._scale = np.ones(past.events.shape[:-1])
        told = self._told(fitted.minutes, fitted.requests, fitted.events)
        self._scale = np.maximum(1.0, np.sqrt(np.mean(told**2, axis=-1))) if cut else self._scale
        self.height = np.zeros(past.events.shape[:-1])
        peaks = self._peaks(kept, bake)
        allowed, needed = math.floor(alpha * (len(peaks) + 1)), math.ceil(1 / alpha) - 1
        self.missing = "" if allowed else f"{len(peaks)} placebo bakes of {bake} min are known, {needed} are needed"
        self.limit = np.sort(peaks, axis=0)[-allowed] if allowed else np.full(past.events.shape[:-1], np.inf)

    def look(self, minute: int, requests: Floats, events: Floats) -> Bools:
        """Take in one minute since the epoch; tell where the CUSUM is above what placebos reached."""
        told = self._told(np.array([minute]), np.asarray(requests)[..., None], np.asarray(events)[..., None])
        self.height = np.maximum(0.0, self.height + told[..., 0] - self._slack)
        above: Bools = self.height > self.limit
        return above

    def _told(self, minutes: NDArray[np.int64], requests: Floats, events: Floats) -> Floats:
        """Give residuals in standard deviations; Anscombe's root (Biometrika 1948) makes Poisson's variance even."""
        expected = self._profile.expected(minutes, requests)
        told: Floats = self._sign * 2 * (np.sqrt(events + 0.375) - np.sqrt(expected + 0.375)) / self._scale[..., None]
        return told

    def _peaks(self, past: Past, bake: int) -> Floats:
        """Walk every placebo bake, (n, ...); a minute between two of them lets them begin anywhere in the hour."""
        told = self._told(past.minutes, past.requests, past.events)
        starts, at = [], 0
        while at + bake <= len(past.minutes):
            whole = past.minutes[at + bake - 1] - past.minutes[at] == bake - 1
            starts += [at] if whole else []
            at += bake + 1 if whole else 1
        windows = np.array([told[..., start : start + bake] for start in starts])
        height = peak = np.zeros((len(starts), *told.shape[:-1]))
        for minute in range(bake if starts else 0):
            height = np.maximum(0.0, height + windows[..., minute] - self._slack)
            peak = np.maximum(peak, height)
        return peak
