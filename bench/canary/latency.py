"""Latency histograms of many hosts at once, in the buckets of `domain.canary.tick.BOUNDARIES`."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.canary.scenario import MEDIAN, PARETO, SLOW_PATH, SPREAD
from domain.canary.tick import BOUNDARIES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BUCKETS = len(BOUNDARIES) + 1
_STEP = math.log(BOUNDARIES[1] / BOUNDARIES[0])
_LOWEST = math.log(BOUNDARIES[0])
_CENTRE = math.log(MEDIAN * 1000)  # boundaries are in microseconds
_FINE = 64  # a shift is rounded to 1/64 of a bucket (0.07 %) where probabilities are looked up
_FURTHEST = 300 * _FINE  # a shift is cut off at 300 buckets: by then every request is in the first or the last
MANY = 500  # requests of a host in a look from which drawing per bucket costs less than drawing per request (measured)


def draw(rng: np.random.Generator, requests: Ints, shift: Floats, tail: Floats, *, pareto: bool = False) -> Ints:
    """Draw one histogram per host; `requests`, `shift` and `tail` are (R, H), the answer is (R, H, 290).

    `shift` is added to the logarithm of every latency, `tail` to that of a random 5 %.
    """
    if requests.size and requests.mean() >= MANY:
        return _per_bucket(rng, requests, shift, tail, pareto)
    return _per_request(rng, requests, shift, tail, pareto)


def _per_request(rng: np.random.Generator, requests: Ints, shift: Floats, tail: Floats, pareto: bool) -> Ints:
    number = requests.ravel()
    host = np.repeat(np.arange(number.size), number)
    log = _log_latencies(rng, host.size, pareto) + shift.ravel()[host]
    if tail.any():
        log += tail.ravel()[host] * (rng.random(host.size) < SLOW_PATH)
    bucket = np.clip(np.floor((log - _LOWEST) / _STEP) + 1, 0, BUCKETS - 1).astype(np.int64)
    counts = np.bincount(host * BUCKETS + bucket, minlength=number.size * BUCKETS)
    return counts.reshape(*requests.shape, BUCKETS)


def _per_bucket(rng: np.random.Generator, requests: Ints, shift: Floats, tail: Floats, pareto: bool) -> Ints:
    chances = probabilities(shift, pareto=pareto)
    if tail.any():
        chances = (1 - SLOW_PATH) * chances + SLOW_PATH * probabilities(shift + tail, pareto=pareto)
    return rng.multinomial(requests, chances)


def probabilities(shift: Floats, *, pareto: bool = False) -> Floats:
    """Give the chance of each bucket for each shift; shape (..., 290), sums are 1."""
    moved = np.clip(np.rint(shift / _STEP * _FINE), -_FURTHEST, _FURTHEST).astype(np.int64)
    at = (_FURTHEST - moved)[..., None] + np.arange(BUCKETS - 1) * _FINE
    below = _table(pareto)[at]
    ends = np.zeros((*shift.shape, 1))
    return np.diff(np.concatenate([ends, below, ends + 1], axis=-1), axis=-1)


def _log_latencies(rng: np.random.Generator, number: int, pareto: bool) -> Floats:
    if pareto:
        return _CENTRE - math.log(2) / PARETO + rng.standard_exponential(number) / PARETO
    return _CENTRE + SPREAD * rng.standard_normal(number)


@cache
def _table(pareto: bool) -> Floats:
    """Tabulate the distribution function of log latency, as far beyond the boundaries as a shift may go."""
    log = _LOWEST + (np.arange((BUCKETS - 2) * _FINE + 2 * _FURTHEST + 1) - _FURTHEST) * _STEP / _FINE
    below: Callable[[float], float] = _pareto if pareto else _lognormal
    return np.array([below(value) for value in log])


def _lognormal(log: float) -> float:
    return 0.5 * math.erfc(-(log - _CENTRE) / SPREAD / math.sqrt(2))


def _pareto(log: float) -> float:
    return max(0.0, -math.expm1(-PARETO * (log - _CENTRE) - math.log(2)))
