"""Argo Rollouts, Flagger and the z test count as their sources and their formula say."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from bench.canary.rivals.argo import Argo
from bench.canary.rivals.flagger import Flagger, FlaggerWithLatency
from bench.canary.rivals.rival import Rival, quantile
from bench.canary.rivals.ztest import ZTest
from bench.canary.scenario import Fault, Scenario
from bench.canary.world import Batch, World
from domain.canary.tick import BOUNDARIES

By = Callable[..., Iterator[Batch]]
Looks = list[tuple[int, int]]

Abort = Callable[..., tuple[int | None, Argo]]
GOOD, BAD, SILENT = (100, 0), (100, 50), (0, 0)


def fired(rival: Rival, batches: Iterable[Batch]) -> int | None:
    """Give the second of the roll-back; nobody asks again after it."""
    return next((batch.second for batch in batches if rival.look(batch)[0]), None)


@pytest.fixture
def argo(by_hand: By) -> Abort:
    def run(
        looks: Looks, seconds: int = 30, window: int = 30, failure_limit: float = 3, **options: Any
    ) -> tuple[int | None, Argo]:
        rival = Argo(1, failure_limit, window=window, **options)
        return fired(rival, by_hand(looks, seconds=seconds)), rival

    return run


def test_argo_aborts_when_failures_exceed_the_limit_and_never_forgets_one(argo: Abort) -> None:
    assert argo([BAD] * 3 + [GOOD] * 50)[0] is None
    assert argo([BAD, GOOD] * 3 + [GOOD] * 40 + [BAD])[0] == 47 * 30
    assert argo([BAD] * 4)[0] == 120


def test_argo_aborts_at_the_first_failure_when_the_limit_is_zero(argo: Abort) -> None:
    assert argo([GOOD, BAD], failure_limit=0)[0] == 60


def test_argo_aborts_after_five_errors_in_a_row_asked_every_ten_seconds(argo: Abort) -> None:
    assert argo([GOOD] * 3 + [SILENT] * 20, seconds=10, window=10)[0] == 30 + 30 + 4 * 10


def test_argo_starts_counting_errors_anew_after_a_measurement(argo: Abort) -> None:
    assert argo(([SILENT] * 4 + [GOOD] * 3) * 6, seconds=10, interval=10, window=10)[0] is None


def test_argo_calls_a_failure_what_is_at_the_threshold(argo: Abort) -> None:
    assert argo([(100, 1)] * 4, fail_above=0.01)[0] == 120
    assert argo([(101, 1)] * 4, fail_above=0.01)[0] is None


def test_argo_pauses_for_a_human_when_it_cannot_tell_and_never_rolls_back_then(argo: Abort) -> None:
    second, rival = argo([(100, 5)] + [BAD] * 20, fail_above=0.2, succeed_below=0.02)
    assert (second, rival.paused.tolist()) == (None, [True])


def test_argo_sees_the_last_minute_at_every_measurement(argo: Abort) -> None:
    assert argo([BAD, GOOD, GOOD], failure_limit=1, window=60)[0] == 60
    assert argo([BAD, GOOD, GOOD], failure_limit=1, window=30)[0] is None


def test_flagger_rolls_back_at_the_threshold_and_counts_only_up(by_hand: By) -> None:
    assert fired(Flagger(1, 2, interval=30), by_hand([BAD] + [GOOD] * 30 + [BAD])) == 32 * 30
    assert fired(Flagger(1, 3, interval=30), by_hand([BAD] + [GOOD] * 30 + [BAD])) is None


def test_flagger_calls_silence_a_failed_check(by_hand: By) -> None:
    assert fired(Flagger(1, 5), by_hand([SILENT] * 10)) == 300


def test_flagger_checks_once_a_minute_all_that_the_minute_brought(by_hand: By) -> None:
    minute = [(100, 2), (100, 0)]
    assert fired(Flagger(1, 1, success=0.99), by_hand(minute)) is None
    assert fired(Flagger(1, 1, success=0.991), by_hand(minute)) == 60


def test_flagger_finds_what_is_slow_only_with_the_check_for_it() -> None:
    world = World(Scenario(rps=500, fault=Fault(latency=2), look=30), 1, 20, histograms=True)
    both = [Flagger(20, 2), FlaggerWithLatency(20, 2)]
    seen = [[rival.look(batch).mean() for rival in both] for batch in world.release(120)]
    assert seen == [[0, 0], [0, 0], [0, 0], [0, 1]]


def test_z_is_the_pooled_z_of_everything_until_now(by_hand: By) -> None:
    looks, stable = [(500, 10), (500, 20)], [(5000, 40), (5000, 60)]
    pooled = 130 / 11_000
    expected = (0.03 - 0.01) / np.sqrt(pooled * (1 - pooled) * (1 / 1000 + 1 / 10_000))
    rival = ZTest(1)
    assert [rival.score(batch)[0] for batch in by_hand(looks, stable)][-1] == pytest.approx(expected)


def test_z_decides_nothing_on_two_failures_nor_on_silence(by_hand: By) -> None:
    assert fired(ZTest(1), by_hand([(10, 2)], [(1000, 0)])) is None
    assert fired(ZTest(1), by_hand([(10, 3)], [(1000, 0)])) == 30
    assert fired(ZTest(1), by_hand([SILENT, GOOD], [SILENT, GOOD])) is None


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_a_quantile_is_read_within_one_bucket_and_moves_with_its_part(q: float) -> None:
    sample = np.random.default_rng(1).lognormal(np.log(50_000), 0.8, 5000)
    histogram = np.bincount(np.searchsorted(BOUNDARIES, sample, side="right"), minlength=290)[None, :]
    assert quantile(histogram, q)[0] == pytest.approx(np.quantile(sample, q) / 1000, rel=0.02)
    assert np.isnan(quantile(np.zeros((1, 290), dtype=int), q)[0])
