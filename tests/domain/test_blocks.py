"""Looks may be judged one by one or many at once: the same verdicts, bit for bit."""

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.canary.arms import Arms
from domain.canary.criteria import Criteria, Gauge, Kpi, Objective, Season
from domain.canary.judge import Judge
from domain.canary.ramp import Course, Ramp
from domain.canary.tick import Arm, Cell, Tick

CRITERIA = Criteria(
    error_floor=0.01,
    harm_budget=0.02,
    warm_up=5.0,
    spread=0.0,
    kpis={"orders": Kpi()},
    gauges={"cpu": Gauge()},
    failures=200,
    objective=Objective(success=98.0, window=60.0),
    season=Season(),
)
SILENT = range(60, 105)
COURSE = Course(steps=(1000, 5000, 10_000), at_most=60.0, bake=30.0, criteria=CRITERIA)


def story(seed: int, looks: int, worse: float, late: bool, stable: int, silent: range) -> list[Tick]:
    """Tell of replicas that come and go, fail alone or all together, and of levels and counts beside them.

    While it is `silent` nobody tells of latency: what is slow is known late, or forgotten when requests are few.
    """
    random = np.random.default_rng(seed)
    ticks = []
    for second in range(looks):
        cells = []
        for arm, rps in (("candidate", 40), ("stable", stable)):
            names = [f"{arm}-{number}" for number in range(1 + (late and second > 20) + random.integers(0, 2))]
            for name in names:
                n = int(random.poisson(rps / len(names)))
                alone = 20 if name == "stable-1" else 1
                bad = int(random.binomial(n, min(0.9, 0.004 * alone * (worse if arm == "candidate" else 1.0))))
                middle = int(random.integers(150, 170))
                histogram = {middle: n - n // 10, middle + 40: n // 10} if n > 4 and second not in silent else {}
                cells.append(_cell(arm, name, n, bad, histogram, random))  # type: ignore[arg-type]  # one of the two
        ticks.append(Tick(second=second, cells=tuple(cells)))
    return ticks


def _cell(arm: Arm, name: str, n: int, bad: int, histogram: dict[int, int], random: np.random.Generator) -> Cell:
    more: dict[str, Any] = {"kpi": {"orders": int(random.poisson(n / 20))}, "gauges": {"cpu": float(random.random())}}
    return Cell(arm=arm, replica=name, requests=n, bad=bad, histogram=histogram, **more)


def split(ticks: list[Tick], cuts: list[int]) -> list[list[Tick]]:
    parts, begin = [], 0
    for cut in cuts:
        parts.append(ticks[begin : begin + cut])
        begin += cut
    return [part for part in [*parts, ticks[begin:]] if part]


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    worse=st.sampled_from([1.0, 1.0, 3.0, 12.0]),
    late=st.booleans(),
    stable=st.sampled_from([360, 12]),
    silent=st.sampled_from([SILENT, range(80)]),
    cuts=st.lists(st.integers(1, 50), max_size=8),
)
def test_a_rollout_is_ruled_alike_however_its_ticks_come_in(
    seed: int, worse: float, late: bool, stable: int, silent: range, cuts: list[int]
) -> None:
    ticks = story(seed, 130, worse, late, stable, silent)
    one, many = Ramp(COURSE), Ramp(COURSE)
    assert [one.look(tick) for tick in ticks] == [it for part in split(ticks, cuts) for it in many.looks(part)]


@pytest.mark.parametrize(
    ("stable", "silent", "changes"), [(12, SILENT, [False, True, False, True]), (360, range(80), [False, True])]
)
def test_what_is_slow_may_become_known_or_forgotten_among_looks_that_are_judged_together(
    stable: int, silent: range, changes: list[bool]
) -> None:
    ticks = story(5, 130, 1.0, late=False, stable=stable, silent=silent)
    one, many, arms = Judge(CRITERIA), Judge(CRITERIA), Arms(CRITERIA.warm_up)
    for judge in (one, many):
        judge.enter(1000, 5000)
    assert [one.look(tick) for tick in ticks] == many.looks(ticks)
    known = []
    for tick in ticks:
        arms.begin([tick])
        known.append(arms.take([tick], 1, 1).slow is not None)
    assert [value for value, _ in groupby(known)] == changes


def test_all_that_a_rollout_can_come_to_is_among_what_is_compared() -> None:
    """Or else the comparison above compares less than it promises."""
    actions = {
        ruling.action
        for seed in range(4)
        for worse in (1.0, 12.0)
        for ruling in Ramp(COURSE).looks(story(seed, 130, worse, True, 360, SILENT))
    }
    assert {"continue", "advance", "rollback", "promote"} <= actions


def test_a_judge_who_was_overruled_between_two_blocks_goes_on_alike() -> None:
    ticks = story(3, 80, 1.0, True, 360, SILENT)
    one, many = Judge(CRITERIA), Judge(CRITERIA)
    for judge in (one, many):
        judge.enter(1000, 5000)
    told = [[one.look(tick) for tick in ticks[:50]], many.looks(ticks[:50])]
    assert told[0] == told[1]
    for judge in (one, many):
        judge.overrule()
    assert [one.look(tick) for tick in ticks[50:]] == many.looks(ticks[50:])
