"""Runs that are killed, cancelled, overtaken or cut off, in the simulated house: what stands in the end.

Every story ends with the simulation's own invariants; `broken` lists what is wrong.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from random import Random

import pytest

from bench.simulation.case import Outcome, releasing, taking_back
from bench.simulation.faults import Fault, Kind
from bench.simulation.life import Life
from bench.simulation.processes import Role
from bench.simulation.shape import Shape
from bench.simulation.world import played

Opened = Callable[..., Life]
Hit = tuple[Role, int, Fault]


@pytest.fixture
def house() -> Iterator[Opened]:
    """Build houses where no version was ever released; the one built last is the one that flows see."""
    with ExitStack() as stack:

        def build(**shape: object) -> Life:
            stack.pop_all().close()
            plain = {"replicas": 1, "schema": False, "bake": 1}
            return stack.enter_context(played(Life(Shape(**(plain | shape)), Random(0))))  # type: ignore[arg-type]  # by name

        yield build


@pytest.fixture
def opened(house: Opened) -> Opened:
    """Build houses where a first version serves everywhere."""

    def build(**shape: object) -> Life:
        life = house(**shape)
        assert releasing(life, life.commit("shop")).broken == []
        return life

    return build


def hit(kind: Kind, at: str, where: str = "production") -> Hit:
    return "release", 1, Fault(kind, at, where=where)


def at_every_moment(scene: Callable[..., Outcome], opened: Opened, kind: Kind, who: Role, **shape: object) -> list[str]:
    """Play a scene again and again, hit after one thing more each time; tell each end.

    Dying before a thing is dying after the one that went before it: in between nothing is done.
    """
    life, ends = opened(**shape), []
    assert scene(life).broken == []
    names = max((it.passed for it in life.processes[-9:] if it.role == who), key=len)
    for number, moment in enumerate(place for place, name in enumerate(names) if name.startswith("after")):
        if number % 5 == 0:  # what has a long history takes long to read
            life = opened(**shape)
        outcome = scene(life, (who, 1, Fault(kind, moment)))
        assert outcome.broken == [], f"{kind} {names[moment]}"
        ends.append(outcome.end)
    return ends


def test_a_good_release_killed_at_any_moment_is_finished_by_the_sweep(opened: Opened) -> None:
    def scene(life: Life, *faults: Hit) -> Outcome:
        return releasing(life, life.commit("shop", migrates=True), *faults)

    ends = at_every_moment(scene, opened, "killed", "release", schema=True)
    begun = next(place for place, end in enumerate(ends) if end != "not begun")
    assert set(ends[begun:]) == {"released"}
    assert len(ends) - begun > 70


def test_a_bad_canary_killed_at_any_moment_is_taken_back(opened: Opened) -> None:
    def scene(life: Life, *faults: Hit) -> Outcome:
        return releasing(life, life.commit("shop", "failing"), *faults)

    ends = at_every_moment(scene, opened, "killed with its runner", "release")
    begun = next(place for place, end in enumerate(ends) if end != "not begun")
    assert set(ends[begun:]) == {"rolled back"}
    assert len(ends) - begun > 70


def test_an_operators_rollback_killed_at_any_moment_is_finished(opened: Opened) -> None:
    def scene(life: Life, *faults: Hit) -> Outcome:
        life.release(life.commit("shop"))
        return taking_back(life, "shop", "production", *faults)

    ends = at_every_moment(scene, opened, "killed", "rollback")
    assert set(ends) == {"not begun", "rolled back"}
    assert len(ends) > 30


def test_a_continuation_killed_at_any_moment_is_continued_again(opened: Opened) -> None:
    def scene(life: Life, *faults: Hit) -> Outcome:
        return releasing(life, life.commit("shop"), hit("killed", "after done attach production"), *faults)

    ends = at_every_moment(scene, opened, "killed", "follower")
    assert set(ends) == {"released"}
    assert len(ends) > 25


def test_a_sweep_killed_at_any_moment_is_made_up_for_by_the_next(opened: Opened) -> None:
    def scene(life: Life, *faults: Hit) -> Outcome:
        return releasing(life, life.commit("shop"), hit("cancelled", "after done publish "), *faults)

    ends = at_every_moment(scene, opened, "killed", "sweep")
    assert set(ends) == {"aborted"}
    assert len(ends) > 5


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_undo_is_written_down_before_traffic_goes_back(opened: Opened, moment: str) -> None:
    life = opened()
    bug = "release", 1, Fault("an unforeseen error", "before judged  production", port="router", late=True)
    killed = hit("killed", f"{moment} entered rolling back production")
    assert releasing(life, life.commit("shop"), bug, killed).broken == []


def test_a_version_that_was_being_retired_is_started_again_before_traffic_goes_back(opened: Opened) -> None:
    life = opened()
    outcome = releasing(life, life.commit("shop"), hit("cancelled", "after workload stop"))
    assert (outcome.end, outcome.broken) == ("rolled back", [])


def test_a_first_release_that_is_taken_back_leaves_nothing_that_serves(house: Opened) -> None:
    life = house()
    outcome = releasing(life, life.commit("shop"), hit("cancelled", "after now serving  dev"))
    assert (outcome.end, outcome.broken) == ("rolled back", [])
    assert life.standing("shop", "dev").serving is None
    assert releasing(life, life.commit("shop")).end == "released"


def test_a_route_that_was_opened_and_not_written_down_is_closed_again(house: Opened) -> None:
    life = house()
    outcome = releasing(life, life.commit("shop"), hit("cancelled", "after router apply"))
    assert (outcome.end, outcome.broken) == ("rolled back", [])
    assert life.late == []


def test_a_migration_that_was_applied_and_not_written_down_is_known_after_the_way_back(opened: Opened) -> None:
    life = opened(schema=True)
    outcome = releasing(life, life.commit("shop", migrates=True), hit("cancelled", "after database migrate"))
    assert (outcome.end, outcome.broken) == ("rolled back", [])
    assert releasing(life, life.commit("shop")).end == "released"


def test_a_plan_that_was_overtaken_by_a_rival_is_not_carried_out(opened: Opened) -> None:
    life = opened()
    outcome = releasing(life, life.commit("shop"), hit("a rival", "after done publish "))
    assert (outcome.end, outcome.broken) == ("released", [])
    plans = Counter(entry.release for entry in life.facts() if entry.fact.kind == "planned")
    assert sorted(plans.values())[-1] > 1


def test_a_release_does_not_enter_where_a_dead_one_left_a_change_half_done(opened: Opened) -> None:
    life = opened()
    life.faults = [hit("killed", "after done shift production")]
    life.started = {}
    life.release(life.commit("shop"))
    life.faults = []
    life.clock.sleep(20)  # its lease has expired, and no sweep has come yet
    life.release(life.commit("shop"), "rival")
    assert [it.phase for it in life.states()] == ["released", "deploying", "aborted"]
    life.come_to_rest()
    assert [it.phase for it in life.states()] == ["released", "released", "aborted"]
    assert life.broken == []


def test_a_release_cannot_be_taken_back_elsewhere_while_it_changes_an_environment(opened: Opened) -> None:
    life = opened()
    outcome = releasing(
        life, life.commit("shop"), hit("rolled back by an operator", "after done shift production", where="dev")
    )
    assert (outcome.end, outcome.broken) == ("released", [])
