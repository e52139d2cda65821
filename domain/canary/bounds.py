"""Other programs' latency buckets, and how they are read into ours."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from domain.canary.tick import BOUNDARIES
from domain.errors import Invalid

_MOST = 1000  # different bounds; our own scale has 289
_LARGEST = 1e11  # ms; three years


class NewBound(Exception):
    """A bound that is good and was never seen before."""


class Bounds(dict[float | None, int]):
    """The upper bounds (ms) that one emitter has used so far, and the bucket of ours that each one's counts go to.

    An observation in (lower, upper] goes to our first bucket above *lower*, in both arms: it may count as slow only
    when it certainly is. The lower bound is the greatest one known below the upper, so that an emitter may leave out
    empty buckets. Bounds finer than ours, or outside 100 µs … 100 s, lose their resolution and nothing else.
    """

    def __init__(self, known: Iterable[float] = ()) -> None:
        super().__init__({None: 0})
        self.learn(known)

    def learn(self, bounds: Iterable[float]) -> None:
        """Add bounds. Raises Invalid when there come to be more than a histogram of fixed buckets has."""
        known = sorted({bound for bound in (*self, *bounds) if bound is not None})
        if len(known) > _MOST:
            raise Invalid(f"latency_ms: more than {_MOST} different bounds", "count into buckets that stay the same")
        self.update(zip((*known, None), (0, *map(bucket_above, known)), strict=True))

    def __missing__(self, bound: Any) -> int:
        """Tell a bound that is new from one that is none."""
        if not is_bound(bound):
            raise ValueError(bound)
        raise NewBound


def bucket_above(milliseconds: float) -> int:
    """Find the first bucket of ours that holds latencies above a bound; a hair's breadth of rounding is forgiven."""
    return int(np.searchsorted(BOUNDARIES, milliseconds * 1000 * (1 + 1e-9), side="right"))


def misfits(bounds: Sequence[float]) -> list[str]:
    """Say which bounds (ms, ascending) our scale cannot tell apart, or does not reach; one line each."""
    lowest, highest = BOUNDARIES[0] / 1000, BOUNDARIES[-1] / 1000
    outside = [bound for bound in bounds if not lowest * (1 - 1e-9) <= bound <= highest * (1 + 1e-9)]
    narrow = [
        pair for pair in pairwise(bounds) if bucket_above(pair[0]) == bucket_above(pair[1]) and pair[1] not in outside
    ]
    return [
        *(f"the bound {bound:g} ms is outside of {lowest:g} ms … {highest:g} ms" for bound in outside),
        *(f"the bounds {one:g} ms and {other:g} ms are in the same bucket of ours" for one, other in narrow),
    ]


def is_bound(value: Any) -> bool:
    """Tell whether a value is a bound at all: a number of milliseconds."""
    return type(value) in (int, float) and 0 < value < _LARGEST
