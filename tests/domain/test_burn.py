"""The burn guard: absolute, silent about what is thin or over, and the same whenever it is read."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.canary.burn import Burn
from domain.canary.criteria import Criteria, Objective
from domain.canary.judge import Judge
from domain.canary.tick import Cell, Tick

OBJECTIVE = Objective(success=99.9)
Look = tuple[int, int]  # requests, failures

LOOKS = st.lists(
    st.integers(0, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=120
)


def burnt(looks: Sequence[Look], objective: Objective = OBJECTIVE, begin: int = 0) -> int | None:
    """Tell the look at which it burns first."""
    burn = Burn(objective)
    for second, (requests, bad) in enumerate(looks):
        burn.look(begin + second, requests, bad)
        if burn.words:
            return second
    return None


def steady(rate: float, rps: int, seconds: int, seed: int = 1) -> list[Look]:
    random = np.random.default_rng(seed)
    return [(rps, int(random.binomial(rps, rate))) for _ in range(seconds)]


@pytest.mark.parametrize("rps", [1, 5, 50, 500])
def test_a_version_that_keeps_its_promise_never_burns(rps: int) -> None:
    assert [burnt(steady(0.001, rps, 900, seed)) for seed in range(3)] == [None] * 3


def test_a_total_failure_burns_within_seconds_and_six_times_the_budget_within_the_bake() -> None:
    assert burnt(steady(1.0, 50, 900)) == 2  # 150 failures of 150 s x 50/s are 2 %; 14.4 times 0.1 % is 1.44 %
    slow = burnt(steady(0.007, 500, 900))
    assert slow is not None
    assert 700 < slow < 900
    assert burnt(steady(0.005, 500, 900)) is None


@settings(deadline=None)
@given(before=st.integers(0, 900))
def test_what_burns_does_so_however_long_it_went_well_before(before: int) -> None:
    found = burnt([(50, 0)] * before + [(50, 25)] * 10)
    assert found is not None
    assert before <= found < before + 10


@settings(deadline=None)
@given(at_least=st.integers(2, 50), rps=st.integers(1, 5))
def test_thin_traffic_burns_only_after_as_many_failures_as_asked_for(at_least: int, rps: int) -> None:
    found = burnt([(rps, rps)] * 150, Objective(success=99.9, at_least=at_least))
    assert found is not None
    assert found == max(2, -(-at_least // rps) - 1)


@settings(deadline=None)
@given(looks=LOOKS, begin=st.integers(0, 2_000_000_000))
def test_it_knows_no_clock_but_that_of_the_looks(looks: list[Look], begin: int) -> None:
    assert burnt(looks, begin=begin) == burnt(looks)


@settings(deadline=None)
@given(looks=LOOKS, strict=st.floats(90.0, 99.99), by=st.floats(0.0, 5.0))
def test_a_weaker_promise_is_never_broken_earlier(looks: list[Look], strict: float, by: float) -> None:
    early, late = (burnt(looks, Objective(success=success)) for success in (strict, strict - by))
    assert late is None or (early is not None and early <= late)


def test_a_fire_that_is_out_takes_nothing_back() -> None:
    busy, out, quiet = [(500, 0)] * 150, [(500, 100)], [(1, 0)] * 149
    assert burnt(busy + out + quiet) is None  # when the busy seconds have left the window, 100 of 648 failed in it
    assert burnt(busy + out + quiet[:140] + [(1, 1)] * 5) is not None  # it flares up again


def test_one_burst_at_the_very_beginning_weighs_as_much_as_one_later() -> None:
    assert burnt([(50, 20)] + [(50, 0)] * 300) is None


def test_an_outage_that_both_versions_share_goes_back_only_where_an_objective_is_declared() -> None:
    """A comparison sees nothing here; that is what the guard is for."""

    def decided(criteria: Criteria) -> list[str]:
        judge = Judge(criteria)
        judge.enter(1000, 5000)
        cells = (
            Cell(arm="candidate", replica="c", requests=50, bad=10),
            Cell(arm="stable", replica="s", requests=450, bad=90),
        )
        return [judge.look(Tick(second=second, cells=cells)).decision for second in range(60)]

    assert set(decided(Criteria())) == {"continue"}
    guarded = decided(Criteria(objective=OBJECTIVE))
    assert "roll back" in guarded
    judge = Judge(Criteria(objective=OBJECTIVE))
    judge.enter(10_000, 10_000)
    verdict = judge.look(Tick(second=7, cells=(Cell(arm="candidate", replica="c", requests=500, bad=500),)))
    assert verdict.numbers.keys() >= {"burn_150s", "burn_900s"}
