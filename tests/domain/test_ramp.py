"""A whole rollout over ticks: it rises on evidence, waits on none, goes back on harm, and ends once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.canary.criteria import Criteria
from domain.canary.ramp import FINAL, Course, Ramp
from domain.canary.tick import Arm, Cell, Tick

CRITERIA = Criteria(error_floor=0.005, harm_budget=0.005, spread=0.0)
COURSE = Course(bake=20.0, at_most=120.0, criteria=CRITERIA)


def ticks(share: float, p: float, begin: int, seconds: int, seed: int = 1, rps: int = 200) -> list[Tick]:
    random = np.random.default_rng(seed)
    told: list[Tick] = []
    for second in range(begin, begin + seconds):
        arms: list[tuple[Arm, int, float]] = [
            ("candidate", round(rps * share), p),
            ("stable", round(rps * (1 - share)), 0.0),
        ]
        cells = [Cell(arm=arm, replica=arm, requests=n, bad=random.binomial(n, q)) for arm, n, q in arms if n]
        told.append(Tick(second=second, cells=tuple(cells)))
    return told


def walk(ramp: Ramp, p: float, seconds: int = 400, rps: int = 200) -> list[tuple[int, str, int]]:
    """Send the traffic that the ramp asks for; tell every ruling but `continue`, until it ends."""
    said = []
    for second in range(seconds):
        [tick] = ticks(ramp.share / 10_000, p, second, 1, seed=second, rps=rps)
        ruling = ramp.look(tick)
        if ruling.action != "continue":
            said.append((second, ruling.action, ruling.share))
        if ruling.action in FINAL:
            break
    return said


def test_a_good_candidate_rises_share_by_share_and_is_promoted_after_its_bake() -> None:
    said = walk(Ramp(COURSE), 0.0)
    assert [(action, share) for _, action, share in said] == [
        ("advance", 5000),
        ("advance", 10_000),
        ("promote", 10_000),
    ]
    assert said[2][0] - said[1][0] == COURSE.bake


def test_a_bad_candidate_goes_back_at_its_first_share_and_stays_back() -> None:
    ramp = Ramp(COURSE)
    assert [it[1:] for it in walk(ramp, 0.2)] == [("rollback", 0)]
    assert {ramp.look(tick).action for tick in ticks(0.1, 0.0, 500, 100)} == {"rollback"}


def test_a_candidate_that_spoils_with_all_traffic_goes_back_during_the_bake() -> None:
    ramp = Ramp(COURSE)
    assert walk(ramp, 0.0, seconds=100)[-1][1] == "promote"
    ramp = Ramp(COURSE)
    while ramp.share < 10_000:
        ramp.look(ticks(ramp.share / 10_000, 0.0, 0, 1)[0])
    assert "rollback" in [ramp.look(tick).action for tick in ticks(1.0, 0.3, 1, 10)]


def test_without_requests_nothing_is_promoted_and_the_end_of_time_asks_for_a_person() -> None:
    ramp = Ramp(COURSE)
    rulings = [ramp.look(Tick(second=second)) for second in range(200)]
    assert [it.action for it in rulings] == ["continue"] * 119 + ["hold"] * 81
    assert {it.share for it in rulings} == {1000}


def test_a_share_lasts_at_least_as_long_as_was_asked() -> None:
    said = walk(Ramp(COURSE.model_copy(update={"at_least": 60.0})), 0.0)
    assert [second for second, action, _ in said if action == "advance"] == [59, 119]


def test_a_release_goes_back_when_it_has_cost_what_it_may() -> None:
    dear = COURSE.model_copy(update={"criteria": CRITERIA.model_copy(update={"error_floor": 0.4, "failures": 5})})
    ramp = Ramp(dear)
    said = walk(ramp, 0.08)
    assert said[-1][1] == "rollback"
    assert "5 are what" in ramp.look(Tick(second=999)).verdict.reasons[0]


def test_what_is_held_back_follows_after_the_bake_and_is_compared_until_then() -> None:
    held = COURSE.model_copy(update={"holdback": 500})
    said = walk(Ramp(held), 0.0)
    assert [it[1:] for it in said] == [("advance", 5000), ("advance", 9500), ("promote", 10_000)]
    assert said[2][0] - said[1][0] == held.bake
    ramp = Ramp(held)
    while ramp.share < 9500:
        ramp.look(ticks(ramp.share / 10_000, 0.0, 0, 1)[0])
    [ruling] = {ramp.look(tick).action for tick in ticks(0.95, 0.3, 1, 10)} - {"continue"}
    assert ruling == "rollback"


def test_a_bake_beside_a_version_that_nobody_reaches_compares_nothing_and_asks() -> None:
    ramp = Ramp(COURSE.model_copy(update={"holdback": 500, "steps": (10_000,)}))
    rulings = [ramp.look(tick) for tick in ticks(1.0, 0.0, 0, 30)]
    assert [it.action for it in rulings] == ["continue"] * 19 + ["hold"] * 11


def test_all_at_once_needs_the_bake_alone() -> None:
    assert [it[1:] for it in walk(Ramp(COURSE.model_copy(update={"steps": (10_000,)})), 0.0)] == [("promote", 10_000)]


@pytest.mark.parametrize("steps", [(), (1000,), (5000, 1000, 10_000), (0, 10_000), (1000, 1000, 10_000)])
def test_shares_that_do_not_rise_to_everyone_are_refused(steps: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="steps must rise"):
        Course(steps=steps)


@settings(deadline=None)  # a shared machine is slow at times
@given(order=st.permutations(range(4)))
def test_the_order_of_hosts_in_a_tick_changes_nothing(order: list[int]) -> None:
    random = np.random.default_rng(2)
    rulings = []
    for arrange in (range(4), order):
        ramp = Ramp(COURSE)
        random = np.random.default_rng(2)
        said = []
        for second in range(12):
            cells = [
                Cell(
                    arm="candidate" if host < 2 else "stable",
                    replica=f"h{host}",
                    requests=50,
                    bad=int(random.random() < 0.2),
                )
                for host in range(4)
            ]
            verdict = ramp.look(Tick(second=second, cells=tuple(cells[host] for host in arrange))).verdict
            said.append((verdict.decision, [round(it.ln_e, 9) for it in verdict.findings]))
        rulings.append(said)
    assert rulings[0] == rulings[1]
