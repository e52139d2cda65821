"""Evidence may be looked at whenever one likes: under the null it is worth at most 1, exactly, not in the long run."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.canary import eprocess
from domain.canary.eprocess import Mixture, exceedance, level, onset, ratio
from domain.canary.share import GRID, Interval

SIZES = st.integers(1, 6)


def binomial(n: int, p: float) -> list[float]:
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


def worth(chances: list[float], logs: list[np.ndarray]) -> np.ndarray:
    """Expect exp(logs) under these chances, one number for each alternative."""
    return np.asarray(sum(chance * np.exp(log) for chance, log in zip(chances, logs, strict=True)))


def counts(*numbers: float) -> list[np.ndarray]:
    return [np.asarray(float(number)) for number in numbers]


@given(n=SIZES, p=st.floats(0.001, 0.4))
def test_a_level_is_worth_exactly_one_at_its_boundary_and_less_below(n: int, p: float) -> None:
    told = [level(eprocess.HIGHER, p, *counts(n, k)) for k in range(n + 1)]
    assert worth(binomial(n, p), told) == pytest.approx(1.0, rel=1e-9)
    assert (worth(binomial(n, p / 2), told) <= 1 + 1e-9).all()
    below = [level(eprocess.LOWER, p, *counts(n, k)) for k in range(n + 1)]
    assert (worth(binomial(n, min(0.9, p * 2)), below) <= 1 + 1e-9).all()


@given(n_c=st.integers(1, 50), n_s=st.integers(1, 50), bad=st.integers(0, 8), tolerated=st.floats(1.0, 3.0))
def test_a_ratio_is_worth_one_at_its_boundary_whatever_the_stable_rate_is(
    n_c: int, n_s: int, bad: int, tolerated: float
) -> None:
    part = tolerated * n_c / (tolerated * n_c + n_s)  # of all errors, that are the candidate's at the boundary
    told = [ratio(eprocess.WORSE, tolerated, *counts(n_c, k, n_s, bad - k)) for k in range(bad + 1)]
    assert worth(binomial(bad, part), told) == pytest.approx(1.0, rel=1e-9)
    assert (worth(binomial(bad, part / 2), told) <= 1 + 1e-9).all()


@given(n_c=SIZES, n_s=SIZES, slow=st.integers(0, 12))
def test_slowness_is_worth_at_most_one_when_both_versions_are_equally_slow(n_c: int, n_s: int, slow: int) -> None:
    slow = min(slow, n_c + n_s)
    own = range(max(0, slow - n_s), min(n_c, slow) + 1)
    chances = [math.comb(n_c, k) * math.comb(n_s, slow - k) / math.comb(n_c + n_s, slow) for k in own]
    for odds in (eprocess.SLOWER, eprocess.FASTER):
        told = [exceedance(odds, *counts(n_c, k, n_s, slow - k)) for k in own]
        assert (worth(chances, told) <= 1 + 1e-9).all()


@settings(deadline=None, max_examples=20)
@given(p=st.floats(0.01, 0.3), before=st.integers(8, 11))
def test_a_mixture_over_onsets_is_worth_at_most_one_after_every_number_of_looks(p: float, before: int) -> None:
    looks = 6
    expected = np.zeros(looks)
    for path in product((0, 1), repeat=looks):
        mixture = Mixture((), len(eprocess.HIGHER))
        mixture.looks(np.zeros((before, len(eprocess.HIGHER))))  # so that an onset falls into the looks that follow
        worth = [math.exp(mixture.look(level(eprocess.HIGHER, p, *counts(1, bad)))) for bad in path]
        expected += math.prod(p if bad else 1 - p for bad in path) * np.array(worth)
    assert expected == pytest.approx(1.0, rel=1e-9)


def test_the_weights_of_all_onsets_add_up_to_one() -> None:
    total = sum(onset(number) for number in range(200_000))
    assert 0.98 < total < 1.0


@given(
    looks=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=6),
    split=st.integers(0, 30),
)
def test_a_look_may_be_split_among_hosts_but_for_its_levels_nothing_changes(
    looks: list[tuple[int, int]], split: int
) -> None:
    for n, x in ((n, min(n, x)) for n, x in looks):
        a, b = min(split, n), n - min(split, n)
        xa = min(x, a)
        whole = level(eprocess.HIGHER, 0.01, *counts(n, x))
        parts = level(eprocess.HIGHER, 0.01, *counts(a, xa)) + level(eprocess.HIGHER, 0.01, *counts(b, x - xa))
        assert parts == pytest.approx(whole, abs=1e-9)


def test_an_arm_without_requests_says_nothing() -> None:
    for nobody in ((0, 0, 10, 3), (10, 3, 0, 0), (0, 0, 0, 0)):
        assert (ratio(eprocess.WORSE, 1.25, *counts(*nobody)) == 0).all()
        assert (exceedance(eprocess.SLOWER, *counts(*nobody)) == 0).all()


def test_the_interval_holds_the_true_ratio_at_every_look_as_often_as_it_promises() -> None:
    # 200 releases, 300 looks each; at 95 % ten misses are expected at most, 20 have a chance below 0.2 %.
    random, missed = np.random.default_rng(5), 0
    for _ in range(200):
        own, there = random.binomial(50, 0.02, 300), random.binomial(450, 0.01, 300)
        counts = (np.full(300, 50.0), own.astype(float), np.full(300, 450.0), there.astype(float))
        low, high = Interval(alpha=0.05).looks(*counts).T
        missed += not ((low <= 2.0) & (high * (GRID[1] / GRID[0]) >= 2.0)).all()
    assert missed < 20
    assert 1.0 < low[-1] < 2.0 < high[-1] < 4.0
