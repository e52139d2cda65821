"""Evidence that may be looked at every second: e-processes with an onset mixture.

An e-process is a non-negative process whose expectation stays at most 1 while the null hypothesis holds, so by
Ville's inequality the chance that it *ever* reaches 1/alpha is at most alpha, however often one looks (Ramdas et al.,
"Game-theoretic statistics and safe anytime-valid inference", Statistical Science 2023).

Everything here works on arrays: the last axis runs over alternatives, the ones before it over whatever is tested side
by side (replicas left out, quantiles, simulated releases). Counts are given without the last axis.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WORSE = np.array([1.3, 2.0, 3.5, 7.0, 20.0, 100.0, 1000.0])
"""Multiples of the tolerated ratio of two rates that are looked for."""
HIGHER = np.array([1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0])
"""Multiples of a tolerated level that are looked for."""
LOWER = np.array([0.75, 0.5, 0.25, 0.05, 0.005])
"""Parts of a level that are looked for below it."""
SLOWER = np.array([1.1, 1.3, 1.7, 2.5, 5.0, 20.0, 100.0])
"""Odds ratios of being slow that are looked for."""
FASTER = np.array([0.95, 0.85, 0.7, 0.5, 0.3])
"""Odds ratios of being slow that are looked for where slowness is to be ruled out."""
DROPS = np.array([0.9, 0.7, 0.5, 0.25, 0.1, 0.01])
"""Parts of the tolerated ratio of two rates that are looked for below it."""

_NONE = 1e-9  # requests: nothing, where it stands below a fraction line
_NAUGHT = 1e-12  # weight: rounding leaves that much when all is handed out
_EVERY = 12  # looks between two onsets
_FIRST, _EVEN, _TAIL = 0.4, 0.4, 0.2  # weight at the first look, over the next hour of looks, and over all later time
_HOUR = 300  # onsets in an hour of looks, one a second
_SUM = 2.1097428  # of 1 / (n ln² n) over n >= 2, so that the tail adds up to 1 over an endless run


def onset(number: int) -> float:
    """Give the weight of the onset of this number; over all numbers they add up to 1."""
    if number == 0:
        return _FIRST
    even = _EVEN / _HOUR if number <= _HOUR else 0.0
    return even + _TAIL / _SUM / ((number + 1) * math.log(number + 1) ** 2)


class Mixture:
    """A mixture over alternatives and over the moment the fault set in.

    M_t = R_t + sum_j W_jt with W_jt = (W_j,t-1 + pi_t w_j) LR_jt. Part of the weight starts at the first look, the rest
    is handed out every twelfth look, for ever; what is not handed out yet stays R_t. A late fault is then not diluted
    by a long healthy start, and E[M_t] <= 1 still holds. Without `late` all weight starts at the first look.
    """

    def __init__(self, shape: tuple[int, ...], alternatives: int, *, late: bool = True) -> None:
        self._share = -math.log(alternatives)
        self._log = np.full((*shape, alternatives), -np.inf)
        self._late = late
        self._looks, self._kept = 0, 1.0
        self.value: Floats = np.zeros(shape)
        self.peak: Floats = np.zeros(shape)

    def looks(self, log_ratios: Floats) -> tuple[Floats, Floats]:
        """Multiply in the likelihood ratios of looks (natural logs, shape (T, ..., alternatives)).

        Returns ln M_t and its peak so far, each (T, ...). Many looks at once or one after the other: the bits are the
        same.
        """
        logs, kept = log_ratios.copy(), np.empty(len(log_ratios))
        for part in self._parts(len(logs)):
            logs[part.start] += self._log
            np.cumsum(logs[part], axis=0, out=logs[part])
            self._log = logs[part.stop - 1].copy()
            kept[part] = math.log(self._kept) if self._kept > _NAUGHT else -np.inf
        top = logs.max(axis=-1)
        values = np.log(np.exp(logs - top[..., None]).sum(axis=-1)) + top
        values = np.logaddexp(values, kept.reshape(-1, *[1] * self.value.ndim))
        peaks = running_peak(self.peak, values)
        self.value, self.peak = values[-1], peaks[-1]
        return values, peaks

    def peaks(self, told: Sequence[bool], log_ratios: Floats) -> list[float]:
        """Give the peak at each of some looks, of which only some have `told` something: that is multiplied in."""
        peaks = [float(self.peak)]
        if any(told):
            peaks += self.looks(log_ratios)[1].tolist()
        return [peaks[count] for count in accumulate(told)]

    def look(self, log_ratios: Floats) -> Floats:
        """Take one look in, shape (..., alternatives); return ln M_t."""
        self.looks(log_ratios[None])
        return self.value

    def _parts(self, looks: int) -> Iterator[slice]:
        """Part the looks that come where weight is handed out, and hand it out."""
        begin = 0
        while begin < looks:
            if self._looks % _EVERY == 0 and (self._late or not self._looks):
                self._hand_out()
            end = min(looks, begin + _EVERY - self._looks % _EVERY) if self._late else looks
            self._looks += end - begin
            yield slice(begin, end)
            begin = end

    def _hand_out(self) -> None:
        weight = onset(self._looks // _EVERY) if self._late else 1.0
        self._kept = max(0.0, self._kept - weight)
        np.logaddexp(self._log, self._share + math.log(weight), out=self._log)

    def grow(self, axis: int = 0) -> None:
        """Add one more row along an axis, with the evidence of the first: what joins now has said nothing so far."""
        self._log, self.value, self.peak = (
            np.concatenate([it, it.take([0], axis=axis)], axis=axis) for it in (self._log, self.value, self.peak)
        )

    def take(self, row: int, axis: int = 0) -> None:
        """Let every row along an axis go on from the evidence of one."""
        self._log, self.value, self.peak = (like(it, row, axis) for it in (self._log, self.value, self.peak))


def running_peak(before: Floats, values: Floats) -> Floats:
    """Give the highest value so far, at each of some looks (T, ...) after what was highest before them (...)."""
    result: Floats = np.maximum.accumulate(np.concatenate([before[None], values]))[1:]
    return result


def like(values: Floats, row: int, axis: int) -> Floats:
    """Put one row along an axis in the place of all."""
    return np.repeat(values.take([row], axis=axis), values.shape[axis], axis=axis)


def ratio(factors: Floats, tolerated: float | Floats, n_c: Floats, x_c: Floats, n_s: Floats, x_s: Floats) -> Floats:
    """Weigh H0: the candidate's rate is at most (for factors below 1: at least) `tolerated` times the stable one's.

    The stable rate is unknown and may drift. Conditional on the total of events in a look the candidate's part is
    binomial (Lindon & Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022, with a margin).
    """
    n_c, x_c, n_s, x_s = (np.asarray(it)[..., None] for it in (n_c, x_c, n_s, x_s))
    null = np.asarray(tolerated)[..., None] * n_c
    share = np.log(np.maximum(null * factors + n_s, _NONE) / np.maximum(null + n_s, _NONE))
    told: Floats = (x_c * np.log(factors) - (x_c + x_s) * share) * ((n_c > 0) & (n_s > 0))
    return told


def level(factors: Floats, tolerated: float | Floats, n: Floats, x: Floats) -> Floats:
    """Weigh H0: a rate is at most (for factors below 1: at least) `tolerated`, by binomial likelihood ratios."""
    null = np.asarray(tolerated)[..., None]
    at = np.minimum(null * factors, 0.999)
    n, x = np.asarray(n)[..., None], np.asarray(x)[..., None]
    told: Floats = x * np.log(at / null) + (n - x) * (np.log1p(-at) - np.log1p(-null))
    return told


def exceedance(odds: Floats, n_c: Floats, x_c: Floats, n_s: Floats, x_s: Floats) -> Floats:
    """Weigh H0: a candidate's request is slow at most (for odds below 1: at least) as often as a stable one's.

    Given the totals of one look, the slow candidates are hypergeometric when both are equally often slow. Its moment
    generating function is bounded by those of both binomials with the same mean (Hoeffding, "Probability inequalities
    for sums of bounded random variables", 1963, section 6): the smaller bound is used, and no model of latency needed.
    """
    n_c, x_c, n_s, x_s = (np.asarray(it)[..., None] for it in (n_c, x_c, n_s, x_s))
    slow = x_c + x_s
    part = (odds - 1) / np.maximum(n_c + n_s, _NONE)
    bound = np.minimum(n_c * np.log1p(slow * part), slow * np.log1p(n_c * part))
    told: Floats = (x_c * np.log(odds) - bound) * ((n_c > 0) & (n_s > 0))
    return told
