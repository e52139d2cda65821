"""A version alone with all traffic, held against what is usual: quiet as promised, and silent where it cannot know."""

import numpy as np
import pytest

from domain.canary.residual import Past, Profile, Residual

DAY = 120  # minutes: a short one, so that a month is soon over
BAKE = 15


def minutes(count: int, runs: int, seed: int, rate: float = 0.002, begin: int = 0) -> Past:
    """Draw traffic that swings with the day, and a job that fails ten times as often every twenty minutes."""
    random = np.random.default_rng(seed)
    at = np.arange(begin, begin + count)
    requests = random.poisson(3000 * (1 + 0.5 * np.sin(2 * np.pi * at / DAY)), (runs, count)).astype(float)
    failing = rate * (1 + 0.8 * np.cos(2 * np.pi * at / DAY)) * np.where(at % 20 == 0, 10, 1)
    return Past(at, requests, random.poisson(requests * failing).astype(float))


def fired(past: Past, coming: Past, *, falling: bool = False, bake: int = BAKE) -> float:
    """Bake for each run; tell which part of them is stopped."""
    judge = Residual(past, bake, falling=falling, day=DAY)
    seen = [
        judge.look(int(minute), coming.requests[:, number], coming.events[:, number])
        for number, minute in enumerate(coming.minutes)
    ]
    return float(np.any(seen, axis=0).mean())


def test_a_season_is_known_after_a_month() -> None:
    past, coming = minutes(60 * DAY, 1, 1), minutes(DAY, 1, 2, begin=60 * DAY)
    off = coming.events - Profile(past, DAY).expected(coming.minutes, coming.requests)
    flat = coming.events - coming.requests * past.events.sum() / past.requests.sum()
    assert np.abs(off).mean() < 0.4 * np.abs(flat).mean()


@pytest.mark.parametrize("falling", [False, True])
def test_a_usual_quarter_of_an_hour_is_stopped_in_one_case_of_a_hundred(falling: bool) -> None:
    past, coming = minutes(42 * DAY, 400, 3), minutes(BAKE, 400, 4, begin=42 * DAY + 7)
    assert fired(past, coming, falling=falling) <= 0.03  # 1 % of 400: more than 12 have P < 0.1 %


def test_twice_the_failures_are_found_and_half_the_orders_are_missed() -> None:
    past = minutes(42 * DAY, 50, 5)
    assert fired(past, minutes(BAKE, 50, 6, rate=0.004, begin=42 * DAY + 7)) > 0.9
    assert fired(past, minutes(BAKE, 50, 7, rate=0.001, begin=42 * DAY + 7)) == 0.0
    assert fired(past, minutes(BAKE, 50, 8, rate=0.001, begin=42 * DAY + 7), falling=True) > 0.9


def test_without_enough_of_a_past_it_says_so_and_stops_nothing() -> None:
    short = minutes(10 * DAY, 2, 9)
    judge = Residual(short, BAKE, day=DAY)
    assert judge.missing == "25 placebo bakes of 15 min are known, 99 are needed"
    assert not judge.look(10 * DAY, np.full(2, 3000.0), np.full(2, 3000.0)).any()
    nothing = Past(np.array([], dtype=np.int64), np.zeros((1, 0)), np.zeros((1, 0)))
    assert Residual(nothing, BAKE).missing.startswith("0 placebo bakes")


def test_a_stretch_with_gaps_in_it_is_no_placebo() -> None:
    whole = minutes(42 * DAY, 1, 10)
    assert Residual(whole, BAKE, day=DAY).missing == ""
    kept = np.arange(len(whole.minutes)) % BAKE != 0
    torn = Past(whole.minutes[kept], whole.requests[:, kept], whole.events[:, kept])
    assert Residual(torn, BAKE, day=DAY).missing.startswith("0 placebo bakes")


def test_many_services_side_by_side_are_judged_as_one_by_one() -> None:
    past, coming = minutes(42 * DAY, 3, 11), minutes(BAKE, 3, 12, rate=0.004, begin=42 * DAY)
    together = Residual(past, BAKE, day=DAY)
    alone = [Residual(Past(past.minutes, past.requests[it], past.events[it]), BAKE, day=DAY) for it in range(3)]
    for number, minute in enumerate(coming.minutes.tolist()):
        together.look(minute, coming.requests[:, number], coming.events[:, number])
        for run, one in enumerate(alone):
            one.look(minute, coming.requests[run, number], coming.events[run, number])
    assert together.limit == pytest.approx([float(one.limit) for one in alone])
    assert together.height == pytest.approx([float(one.height) for one in alone])
