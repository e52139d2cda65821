"""The port of Kayenta's judge says what Kayenta said, where people published what it said."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bench.canary.measure import follow
from bench.canary.rivals.kayenta import CONFIDENCE_98, Kayenta, KayentaOfThree, highness, is_high, statistic
from bench.canary.scenario import Fault, Scenario
from bench.canary.world import Batch

By = Callable[..., Iterator[Batch]]


def high(experiment: list[float], control: list[float]) -> bool:
    return bool(is_high(np.array([experiment], dtype=float), np.array([control], dtype=float))[0])


@pytest.mark.parametrize(
    ("experiment", "control", "said"),
    [
        ([100] * 7 + [1] * 3, [1] * 10, False),  # spinnaker/spinnaker#6278: seven of ten points a hundred times higher
        ([100] * 8 + [1] * 2, [1] * 10, True),  # and eight
        ([1000] * 7 + [1] * 3, [1] * 10, False),  # "100 or 2 or 3 or 1000 doesn't matter"
        ([2] * 8 + [1] * 2, [1] * 10, True),
        ([0, 1, 2, 1, 0, 0], [0] * 6, False),  # spinnaker/kayenta#426: sparse errors
        ([0, 0.048, 0, 0.18, 0.089, 0, 0.098, 0.035, 0, 0], [0] * 10, False),  # spinnaker/spinnaker#5622
        (  # spinnaker/kayenta#780, case 1
            [10, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6, 17, 17.1, 17.2, 17.3, 17.4, 17.5, 17.6, 17.7],
            [1, 100, 4, 101, 5, 102, 6, 103, 7, 104, 8, 105, 9, 106, 17],
            False,
        ),
    ],
)
def test_it_judges_published_series_as_they_were_judged(
    experiment: list[float], control: list[float], said: bool
) -> None:
    assert high(experiment, control) is said


def test_two_constant_series_that_differ_are_told_apart_and_equal_ones_are_not() -> None:
    assert high([1] * 5, [0] * 5)
    assert not high([1] * 4, [0] * 4)  # four points a side can never be enough at 98 %
    assert not high([1] * 50, [1] * 50)


def test_a_lower_series_is_not_high() -> None:
    assert not high([1] * 10, [100] * 10)


def test_points_without_data_count_for_nothing() -> None:
    some, other = [3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 1.5, 1.2, 1.1, 0.9]
    holes = [float("nan")] * 9
    both = highness(np.array([some]), np.array([other])), highness(np.array([some + holes]), np.array([other + holes]))
    assert both[0] == pytest.approx(both[1])
    assert highness(np.array([holes]), np.array([[1.0] * 9]))[0] == -np.inf


@pytest.mark.parametrize("decimals", [6, 1, 0], ids=["no ties", "some ties", "many ties"])
def test_the_statistic_is_the_count_of_pairs_that_stand_the_right_way_round(decimals: int) -> None:
    rng = np.random.default_rng(1)
    x, y = np.round(rng.normal(0.5, 2, (50, 9)), decimals), np.round(rng.normal(0, 2, (50, 12)), decimals)
    difference = x[:, :, None] - y[:, None, :]
    wins = (difference > 0).sum((1, 2)) + (difference == 0).sum((1, 2)) / 2 - 9 * 12 / 2
    ties = [np.unique(row, return_counts=True)[1] for row in np.concatenate([x, y], axis=1)]
    lost = np.array([(t.astype(float) ** 3 - t).sum() for t in ties])
    sigma = np.sqrt(9 * 12 / 12 * (22 - lost / (21 * 20)))
    assert statistic(x, y, np.zeros(50)) == pytest.approx((wins - np.sign(wins) / 2) / sigma)


def test_no_root_need_be_searched_because_the_interval_says_the_same() -> None:
    """Search it as Kayenta does: the shift at which the statistic falls to the quantile."""
    rng = np.random.default_rng(2)
    said = set()
    for _ in range(80):
        x, y = rng.lognormal(rng.uniform(0, 1.2), 0.5, (1, 15)), rng.lognormal(0, 0.5, (1, 15))
        low, top = x.min() - y.max(), x.max() - y.min()
        for _ in range(50):
            middle = (low + top) / 2
            above = statistic(x, y, np.array([middle]))[0] > CONFIDENCE_98
            low, top = (middle, top) if above else (low, middle)
        expected = low > 0.25 * abs(np.median(x[0][:, None] - y[0][None, :])) and x.mean() >= y.mean()
        assert bool(is_high(x, y)[0]) == expected
        said.add(bool(expected))
    assert said == {True, False}


def test_points_are_made_of_whole_steps_and_judged_when_a_judgement_is_due(by_hand: By) -> None:
    candidate = [(100, 50 + n) for n in range(20)]
    stable = [(1000, n) for n in range(20)]
    rival = Kayenta(1, step=60, every=300)
    fired = [batch.second for batch in by_hand(candidate, stable) if rival.look(batch)[0]]
    assert fired == [300]  # five points of two looks each; afterwards nobody judges a release that is gone
    rival = Kayenta(1, step=30, every=30)
    assert [batch.second for batch in by_hand(candidate, stable) if rival.look(batch)[0]] == [150]


def test_a_long_healthy_start_hides_a_late_fault_unless_only_the_last_points_are_judged() -> None:
    scenario = Scenario(rps=500, errors=0.01, fault=Fault(errors=1, onset=1200), look=30)
    courses = follow(
        {"growing": lambda _, runs: Kayenta(runs), "last 20": lambda _, runs: Kayenta(runs, lookback=20)},
        scenario, [5], 3600, runs=20,
    )  # fmt: skip
    growing, last = (courses[name].detection(1200).median for name in ("growing", "last 20"))
    assert growing > 600 > last


def test_slow_answers_are_seen_only_by_the_metrics_of_latency() -> None:
    scenario = Scenario(rps=200, fault=Fault(latency=1.5), look=30)
    courses = follow(
        {"errors": lambda _, runs: Kayenta(runs), "three": lambda _, runs: KayentaOfThree(runs)},
        scenario, [5], 600, runs=20,
    )  # fmt: skip
    assert courses["errors"].detection().power.value < 0.1
    assert courses["three"].detection().power.value == 1
