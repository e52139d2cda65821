"""Histograms: every request is in one bucket, and the buckets are filled as the distribution says."""

import math

import numpy as np
import pytest

from bench.canary import latency
from bench.canary.scenario import ENVIRONMENTS, Fault, Scenario
from bench.canary.ticks import tick
from bench.canary.world import World
from domain.canary.tick import BOUNDARIES, quantile

BOTH = pytest.mark.parametrize("requests", [latency.MANY // 10, latency.MANY * 4], ids=["by request", "by bucket"])


def drawn(requests: int, shift: float = 0.0, tail: float = 0.0, *, pareto: bool = False) -> np.ndarray:
    hosts = (40, 5)
    rng = np.random.default_rng(1)
    return latency.draw(
        rng, np.full(hosts, requests), np.full(hosts, shift), np.full(hosts, math.log(tail or 1)), pareto=pareto
    )


@BOTH
@pytest.mark.parametrize("pareto", [False, True])
def test_every_request_is_in_a_bucket_and_as_many_as_expected_are_in_each(requests: int, pareto: bool) -> None:
    shift = 0.3
    counts = drawn(requests, shift, pareto=pareto)
    assert (counts.sum(axis=-1) == requests).all()
    expected = counts.sum() * latency.probabilities(np.array(shift), pareto=pareto)
    seen = counts.sum(axis=(0, 1))
    assert (np.abs(seen - expected) < 5 * np.sqrt(expected) + 5).all()


@BOTH
def test_median_and_p99_are_those_of_the_lognormal_and_a_shift_multiplies_them(requests: int) -> None:
    for factor in (1.0, 1.25, 0.5):
        pooled = drawn(requests, math.log(factor)).sum(axis=(0, 1))
        assert quantile(pooled, 0.5) / 1000 == pytest.approx(50 * factor, rel=0.05)
        assert quantile(pooled, 0.99) / 1000 == pytest.approx(321.5 * factor, rel=0.1)


@BOTH
def test_a_slow_path_moves_the_tail_and_leaves_the_middle(requests: int) -> None:
    pooled = drawn(requests, tail=10).sum(axis=(0, 1))
    assert quantile(pooled, 0.5) / 1000 == pytest.approx(50, rel=0.1)
    assert quantile(pooled, 0.99) / 1000 > 2 * 321


@BOTH
def test_a_heavy_tail_follows_its_power_law(requests: int) -> None:
    pooled = drawn(requests, pareto=True).sum(axis=(0, 1))
    above = pooled[np.searchsorted(BOUNDARIES, 500_000) + 1 :].sum() / pooled.sum()  # ten times the median
    assert above == pytest.approx(0.5 * 10**-1.5, rel=0.15)


def test_a_shift_beyond_all_buckets_ends_in_the_last() -> None:
    assert latency.probabilities(np.array([50.0]))[0, -1] == pytest.approx(1)
    assert drawn(10, 50.0)[..., -1].sum() == 10 * 200


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_histograms_hold_every_request_of_every_host(name: str) -> None:
    scenario = Scenario(rps=300, environment=ENVIRONMENTS[name], fault=Fault(latency=2, tail=3))
    for batch in World(scenario, 1, 10, histograms=True).release(15):
        for counts in (batch.candidate, batch.stable):
            assert counts.histogram is not None
            assert (counts.histogram.sum(axis=-1) == counts.requests).all()


def test_only_the_candidate_is_slow() -> None:
    batch = next(World(Scenario(rps=5000, fault=Fault(latency=2)), 1, 10, histograms=True).release())
    medians = [quantile(counts.latency().sum(axis=0), 0.5) / 1000 for counts in (batch.candidate, batch.stable)]
    assert medians == [pytest.approx(100, rel=0.05), pytest.approx(50, rel=0.05)]


def test_a_run_as_ticks_sums_to_its_counts() -> None:
    for batch in World(Scenario(rps=20, errors=0.3), 7, 4, histograms=True).release(30):
        for run in range(4):
            made = tick(batch, run)
            assert made.second == batch.second
            for arm, counts in (("candidate", batch.candidate), ("stable", batch.stable)):
                cells = [cell for cell in made.cells if cell.arm == arm]
                assert made.total(arm) == (counts.requests[run].sum(), counts.bad[run].sum())
                assert (sum(cell.latency() for cell in cells) == counts.latency()[run]).all()
                assert len(cells) == np.count_nonzero(counts.requests[run])
                assert all(cell.requests == counts.requests[run, int(cell.replica.split("-")[1])] for cell in cells)
