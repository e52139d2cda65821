"""A bake beside the past: looks become minutes, and a judge that knows too little of it says so."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from domain.canary.criteria import Criteria, Season
from domain.canary.judge import Judge
from domain.canary.residual import Past
from domain.canary.season import past_of
from domain.canary.tick import Arm, Cell, Tick
from domain.canary.verdict import Verdict
from domain.facts import Entry, Fact, Judged, Looked
from domain.release.recall import good_bakes

CRITERIA = Criteria(error_floor=0.4, season=Season(bake=300))
BEGIN = 28_000_000  # minutes since the epoch: in 2023


def tick(second: int, requests: int, bad: int, arm: Arm = "candidate") -> Tick:
    return Tick(second=second, cells=(Cell(arm=arm, replica=arm, requests=requests, bad=bad),))


def past(count: int, rate: float = 0.002) -> Past:
    random = np.random.default_rng(1)
    minutes = np.arange(BEGIN - count, BEGIN)
    return Past(minutes, np.full(count, 6000.0), random.poisson(6000 * rate, count).astype(float))


def baked(judge: Judge, bad: int, seconds: int = 300) -> list[Verdict]:
    judge.enter(10_000, 10_000)
    return [judge.look(tick(BEGIN * 60 + second, 100, bad if second % 2 else 0)) for second in range(seconds)]


def test_looks_are_summed_up_by_the_minute_of_the_clock_whatever_arm_they_are_of() -> None:
    looks = [tick(second, 10, 1) for second in range(110, 130)] + [tick(125, 5, 2, "stable")]
    seen = past_of(looks)
    assert seen.minutes.tolist() == [1, 2]
    assert seen.requests.tolist() == [100, 105]
    assert seen.events.tolist() == [10, 12]
    assert past_of([]).events.shape == (0,)


def test_a_bake_that_is_unlike_the_past_goes_back_far_below_any_floor() -> None:
    usual, unusual = (baked(Judge(CRITERIA, past=past(2000)), bad) for bad in (0, 4))
    assert {it.decision for it in usual} == {"continue"}
    found = [it.decision for it in unusual].index("roll back")
    assert 60 <= found <= 240
    assert "on placebo bakes of the past" in unusual[found].reasons[0]


@pytest.mark.parametrize("known", [0, 1000])
def test_a_judge_that_knows_too_few_bakes_says_so_and_decides_nothing(known: int) -> None:
    verdicts = baked(Judge(CRITERIA, past=past(known)), 4)
    assert {it.decision for it in verdicts} == {"continue"}
    assert "placebo bakes of 5 min are known, 99 are needed" in verdicts[-1].reasons[-1]


def test_without_a_season_the_past_is_not_asked_for() -> None:
    plain = Criteria(error_floor=0.4)
    assert baked(Judge(plain, past=past(2000)), 4) == baked(Judge(plain), 4)


@pytest.fixture
def entries() -> Callable[[Iterable[tuple[str, Fact]]], list[Entry]]:
    def entries(facts: Iterable[tuple[str, Fact]]) -> list[Entry]:
        rest = {"at": "", "actor": "a", "service": "shop", "previous": "", "hash": ""}
        return [
            Entry.model_validate({"seq": number, "release": release, "fact": fact, **rest})
            for number, (release, fact) in enumerate(facts)
        ]

    return entries


def test_only_bakes_that_ended_well_are_usual(entries: Callable[[Iterable[tuple[str, Fact]]], list[Entry]]) -> None:
    def look(second: int, share: int, following: int) -> Looked:
        return Looked(share=share, next_share=following, tick=tick(second, 1, 0))

    good, bad = (Judged(share=10_000, verdict=Verdict(decision=it, reasons=())) for it in ("promote", "roll back"))
    told = entries([
        ("r1", look(1, 1000, 10_000)), ("r1", good), ("r1", look(2, 10_000, 10_000)), ("r1", good),
        ("r2", look(3, 9500, 9500)), ("r2", bad),
        ("r3", look(4, 9500, 9500)), ("r3", good),
        ("r4", look(5, 10_000, 10_000)), ("r4", good),
    ])  # fmt: skip
    assert [it.second for it in good_bakes(told, "r4")] == [2, 4]
