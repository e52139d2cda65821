"""The synthetic traffic is what its scenario says: within five standard errors, from fixed seeds."""

import numpy as np
import pytest

from bench.canary.scenario import ENVIRONMENTS, Environment, Fault, Scenario
from bench.canary.world import Batch, World

EVERY = sorted(ENVIRONMENTS)


def first(scenario: Scenario, *, seed: int = 1, runs: int = 400) -> Batch:
    return next(World(scenario, seed, runs).release(scenario.look))


def near(sample: np.ndarray, mean: float) -> None:
    error = sample.std() / np.sqrt(sample.size)
    assert abs(sample.mean() - mean) < 5 * error, (sample.mean(), mean, error)


def test_requests_and_failures_are_poisson_with_the_declared_rates() -> None:
    batch = first(Scenario(rps=200, share=0.2, errors=0.05, candidates=2, stables=8, look=10), runs=2000)
    for counts, requests in ((batch.candidate, 200), (batch.stable, 200)):
        for sample, mean in ((counts.requests, requests), (counts.bad, 0.05 * requests)):
            near(sample, mean)
            near((sample - mean) ** 2, mean)


def test_the_calibration_hour_has_all_traffic_on_the_stable_hosts_and_no_fault() -> None:
    world = World(Scenario(rps=100, errors=0.1, stables=4, fault=Fault(errors=1)), 1, 500)
    hour = list(world.calibration(20))
    assert [batch.second for batch in hour] == [-15, -10, -5, 0]
    assert sum(batch.candidate.requests.sum() for batch in hour) == 0
    near(hour[0].stable.requests, 125)
    near(hour[0].stable.bad, 12.5)


@pytest.mark.parametrize("name", EVERY)
def test_one_seed_gives_the_same_traffic_and_another_seed_other(name: str) -> None:
    scenario = Scenario(environment=ENVIRONMENTS[name])

    def seen(seed: int) -> bytes:
        world = World(scenario, seed, 20, histograms=True)
        looks = [*world.calibration(20), *world.release(20)]
        return b"".join(part.tobytes() for b in looks for part in (b.candidate.bad, b.stable.histogram))

    assert seen(1) == seen(1)
    assert seen(1) != seen(2)


@pytest.mark.parametrize("name", EVERY)
def test_counts_are_the_same_with_histograms_and_without(name: str) -> None:
    scenario = Scenario(environment=ENVIRONMENTS[name])
    for with_, without in zip(
        World(scenario, 3, 20, histograms=True).release(30), World(scenario, 3, 20).release(30), strict=True
    ):
        assert (with_.stable.requests == without.stable.requests).all()
        assert (with_.candidate.bad == without.candidate.bad).all()


def log_rates(batch: Batch) -> np.ndarray:
    return np.log(batch.stable.bad / batch.stable.requests)


def busy(environment: Environment) -> Scenario:
    """So many failures per host (3750) that a rate can be read off them: Poisson adds sd 0.016 to its logarithm."""
    return Scenario(rps=300_000, share=0.5, errors=0.05, stables=10, environment=environment)


def test_replicas_noise_has_the_declared_spread_and_is_their_own() -> None:
    rates = log_rates(first(busy(ENVIRONMENTS["noisy"])))
    assert rates.std() == pytest.approx(0.25, rel=0.05)
    assert np.corrcoef(rates[:, 0], rates[:, 1])[0, 1] == pytest.approx(0, abs=0.2)


def test_replicas_noise_is_remembered_for_minutes_and_not_for_an_hour() -> None:
    looks = [log_rates(batch) for batch in World(busy(ENVIRONMENTS["noisy"]), 1, 100).release(1200)]
    after = {seconds: np.corrcoef(looks[0].ravel(), looks[seconds // 5].ravel())[0, 1] for seconds in (30, 1195)}
    assert after == {30: pytest.approx(0.9, abs=0.05), 1195: pytest.approx(0, abs=0.15)}


def test_a_misspecified_calibration_hour_is_quieter_than_the_release() -> None:
    world = World(busy(ENVIRONMENTS["misspecified"]), 1, 400)
    assert log_rates(next(world.calibration())).std() == pytest.approx(0.125, rel=0.05)
    assert log_rates(next(world.release())).std() == pytest.approx(0.25, rel=0.05)


def test_the_day_moves_both_arms_together() -> None:
    scenario = busy(ENVIRONMENTS["diurnal"])
    arms = [
        np.log([counts.bad.sum(axis=1) / counts.requests.sum(axis=1) for counts in (batch.candidate, batch.stable)])
        for batch in World(scenario, 1, 50).release(600)
    ]
    assert np.corrcoef(*np.concatenate(arms, axis=1))[0, 1] > 0.98
    traffic = np.array([batch.stable.requests.sum(axis=1) for batch in World(scenario, 1, 200).release(5)]) / 750_000
    assert (traffic.min(), traffic.max()) == (pytest.approx(0.7, abs=0.02), pytest.approx(1.3, abs=0.02))


def test_retry_bursts_come_in_lumps_and_by_share() -> None:
    scenario = Scenario(rps=1, share=0.25, errors=1e-6, environment=ENVIRONMENTS["bursts"], look=60)
    looks = list(World(scenario, 1, 1000).release(600))
    bad = np.array([[batch.candidate.bad.sum(axis=1), batch.stable.bad.sum(axis=1)] for batch in looks])
    near(bad.sum(axis=1), 20 * 60 / 120)
    assert bad[:, 0].sum() / bad.sum() == pytest.approx(0.25, abs=0.03)
    lumps = np.concatenate([batch.stable.bad.ravel() for batch in looks])
    assert np.median(lumps[lumps > 0]) == pytest.approx(20, abs=1)


def test_one_stable_host_is_bad() -> None:
    batch = first(Scenario(rps=5000, errors=0.01, environment=ENVIRONMENTS["bad stable host"]))
    near(batch.stable.bad[:, 0], 5000 * 5 * 0.9 / 18 * 0.1)
    near(batch.stable.bad[:, 1:], 5000 * 5 * 0.9 / 18 * 0.01)


def test_cron_strikes_both_arms_in_the_first_half_minute_of_ten() -> None:
    scenario = Scenario(rps=5000, share=0.5, errors=0.01, environment=ENVIRONMENTS["cron"])
    looks = {batch.second: batch for batch in World(scenario, 1, 100).release(660)}
    for second, factor in ((5, 5), (30, 5), (35, 1), (600, 1), (605, 5), (635, 1)):
        near(looks[second].candidate.bad, 6250 * 0.01 * factor)
        near(looks[second].stable.bad, 5000 * 5 * 0.5 / 18 * 0.01 * factor)


def test_a_long_look_sees_the_part_of_the_cron_that_it_covers() -> None:
    scenario = Scenario(rps=500, share=0.5, errors=0.01, environment=ENVIRONMENTS["cron"], look=60)
    near(first(scenario).candidate.bad, 7500 * 0.01 * (1 + 4 * 0.5))


@pytest.mark.parametrize(
    ("fault", "rates"),
    [
        (Fault(factor=5), (0.05, 0.05)),
        (Fault(errors=0.3), (0.3, 0.3)),
        (Fault(errors=1), (1.0, 1.0)),
        (Fault(factor=1000), (1.0, 1.0)),
        (Fault(factor=10, one_host=True), (0.1, 0.01)),
        (Fault(factor=10, onset=5), (0.01, 0.01)),
    ],
)
def test_a_fault_hits_the_candidate_hosts_it_should_and_nobody_else(fault: Fault, rates: tuple[float, float]) -> None:
    batch = first(Scenario(rps=2000, share=0.5, errors=0.01, fault=fault))
    for host, rate in enumerate(rates):
        near(batch.candidate.bad[:, host], 2500 * rate)
    near(batch.stable.bad, 2000 * 5 * 0.5 / 18 * 0.01)


def test_a_fault_begins_with_the_first_look_after_its_onset() -> None:
    looks = World(Scenario(rps=100, errors=1e-9, fault=Fault(errors=1, onset=12)), 1, 1).release(25)
    assert [bool(batch.candidate.bad.any()) for batch in looks] == [False, False, False, True, True]


def test_absolute_failure_is_spared_by_no_noise() -> None:
    batch = first(Scenario(environment=ENVIRONMENTS["diurnal noisy"], fault=Fault(errors=1)))
    assert (batch.candidate.bad == batch.candidate.requests).all()
