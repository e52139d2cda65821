"""What a release may cost: the share it starts with keeps to it, and the judge can still decide there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.canary.budget import SHARES, start
from domain.canary.criteria import Criteria
from domain.canary.judge import Judge
from domain.canary.tick import Cell, Tick

RAMP = (1_000, 5_000, 10_000)


def chosen(rate: float, failures: int | None = None, patience: float = 1800.0) -> int:
    return start(rate, RAMP, patience, Criteria(failures=failures)).share


@pytest.mark.parametrize(("rate", "share"), [(5_000, 100), (500, 100), (250, 200), (100, 500), (50, 1_000), (5, 5_000)])
def test_a_release_starts_with_one_percent_of_much_traffic_and_with_a_tenth_of_little(rate: float, share: int) -> None:
    assert chosen(rate) == share


@given(rate=st.floats(0.01, 1e5), more=st.floats(1.0, 100.0), failures=st.none() | st.integers(1, 10_000))
def test_more_traffic_never_asks_for_a_larger_share(rate: float, more: float, failures: int | None) -> None:
    assert chosen(rate * more, failures) <= chosen(rate, failures)
    assert chosen(rate, failures) in SHARES


@given(rate=st.floats(1.0, 1e5), failures=st.integers(1, 10_000))
def test_a_budget_lowers_the_share_and_total_failure_then_costs_no_more(rate: float, failures: int) -> None:
    share = chosen(rate, failures)
    assert share <= chosen(rate)
    assert share == SHARES[0] or rate * share / 10_000 * 3 <= failures


def test_the_reason_says_what_it_costs_and_when_people_will_be_asked() -> None:
    assert start(540, RAMP, 1800, Criteria()).reason == (
        "1 % of 540 requests/s: clears 10 % in about 2 min, and costs about 17 requests if every one of them fails"
    )
    dear = start(50, RAMP, 1800, Criteria(failures=1)).reason
    assert "10 % would cost more than the 1 that are allowed" in dear
    thin = start(1, RAMP, 1800, Criteria()).reason
    assert "beyond the patience of 30 min, so people will be asked" in thin


def seconds(rate: int, share: int, p: float, seed: int, criteria: Criteria) -> tuple[int, int, str]:
    """Judge at this share until something is decided: how many seconds, failures, and what."""
    random, judge, failed = np.random.default_rng(seed), Judge(criteria), 0
    judge.enter(share, next(it for it in RAMP if it > share))
    for second in range(1800):
        n_c, n_s = random.poisson(rate * share / 10_000), random.poisson(rate * (1 - share / 10_000))
        cells = [
            Cell(arm="candidate", replica="c", requests=n_c, bad=random.binomial(n_c, p)),
            Cell(arm="stable", replica="s", requests=n_s, bad=random.binomial(n_s, 0.0005)),
        ]
        failed += cells[0].bad
        if (decision := judge.look(Tick(second=second, cells=tuple(cells))).decision) != "continue":
            return second, failed, decision
    return 1800, failed, "continue"


@pytest.mark.parametrize("rate", [50, 500])
def test_where_it_starts_a_good_version_is_cleared_in_time_and_a_broken_one_costs_what_was_said(rate: int) -> None:
    criteria = Criteria(latency=None, failures=20, spread=0.0)
    share = start(rate, RAMP, 1800, criteria).share
    good = [seconds(rate, share, 0.0005, seed, criteria) for seed in range(8)]
    assert [decision for _, _, decision in good].count("promote") >= 7
    assert np.median([taken for taken, _, _ in good]) <= 900
    broken = [seconds(rate, share, 1.0, seed, criteria) for seed in range(8)]
    assert {decision for _, _, decision in broken} == {"roll back"}
    assert np.median([failed for _, failed, _ in broken]) <= 20
