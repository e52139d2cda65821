"""The list of faults: every name stays what it is, and a seed is all that chance needs."""

import pytest

from bench.chaos import options
from bench.chaos.faults import SECONDS, Fault, Point, chosen, described, dice, every_fault, sample
from bench.chaos.record import column, replay
from tasks.fault import Fault as Wanted

FAULTS = every_fault()


def test_no_two_faults_have_one_name() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) > 700


def test_a_name_stays_what_it_is_because_records_and_replays_use_it() -> None:
    names = {fault.name for fault in FAULTS}
    assert {
        "kill@release:before-intended-build",
        "kill@release:inside-intended-shift-2",
        "stop@rollback:after-done-retire",
        "kill@undo:after-entered-rolling-back",
        "kill@release:after-intended-deploy+before-recovered",
        "hole-ledger@release:after-intended-migrate",
        "machine@rollback:inside-intended-attach",
    } <= names


@pytest.mark.parametrize("kind", ["kill", "stop"])
@pytest.mark.parametrize("verb", sorted(SECONDS))
def test_every_step_is_hit_at_each_of_its_four_points_and_inside(kind: str, verb: str) -> None:
    points = {(it.point.when, it.point.fact) for it in FAULTS if it.kind == kind and it.point.verb == verb}
    assert points == {
        ("before", "intended"), ("after", "intended"), ("inside", "intended"), ("before", "done"), ("after", "done"),
    }  # fmt: skip


def test_one_seed_gives_one_order_and_another_seed_another() -> None:
    assert chosen(FAULTS, 3) == chosen(FAULTS, 3)
    assert chosen(FAULTS, 3) != chosen(FAULTS, 4)
    assert set(chosen(FAULTS, 3)) == set(FAULTS)


def test_a_few_faults_are_of_many_kinds() -> None:
    kinds = {fault.kind for fault in FAULTS}
    assert len({fault.kind for fault in chosen(FAULTS, 5, len(kinds))}) == len(kinds)


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_is_small_and_has_every_kind_and_every_verb(seed: int) -> None:
    some = sample(FAULTS, seed)
    assert len(some) <= 24
    assert {fault.point.verb for fault in some} >= SECONDS.keys()
    assert {fault.kind.partition("-")[0] for fault in some} == {fault.kind.partition("-")[0] for fault in FAULTS}


def test_chance_depends_on_seed_and_name_alone() -> None:
    one, other = FAULTS[0], FAULTS[1]
    assert dice(1, one).random() == dice(1, one).random()
    assert len({dice(1, one).random(), dice(2, one).random(), dice(1, other).random()}) == 3


def test_the_product_understands_every_point() -> None:
    for fault, point in [(it, point) for it in FAULTS for point in (it.point, it.again) if point]:
        said = Wanted.model_validate(described(fault, point, dice(1, fault)))
        assert (said.when, said.delay > 0) == (("after", True) if point.when == "inside" else (point.when, False))
        assert said.do == ("kill" if fault.kind == "kill" else "stop")


def test_a_step_that_would_find_its_work_done_gets_a_version_that_gives_it_some() -> None:
    needs = {it.point.verb: it.needs for it in FAULTS if it.story == "release" and it.point.fact == "intended"}
    assert {verb: needs[verb] for verb in ("build", "migrate", "back_up", "deploy", "retire")} == {
        "build": "fresh", "migrate": "migrating", "back_up": "migrating", "deploy": "known", "retire": "known",
    }  # fmt: skip


def test_a_replay_names_exactly_one_fault() -> None:
    fault = Fault("kill", "release", Point("inside", "intended", "shift", 2))
    words = dict(word.split("=") for word in replay(fault, 9).split()[2:])
    asked = options.read(["--seed", words["SEED"], "--fault", words["FAULT"], "--step", words["STEP"]])
    assert (asked.faults, asked.seed) == ([fault], 9)


def test_a_part_of_a_step_is_enough_and_nonsense_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    asked = options.read(["--fault", "kill", "--step", "rollback:before"])
    assert {(it.kind, it.story, it.point.when) for it in asked.faults} == {("kill", "rollback", "before")}
    with pytest.raises(SystemExit):
        options.read(["--fault", "kil"])
    assert "--list" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("step", "named"),
    [
        ("release:before-done-shift-2", "release shift-2"),
        ("rollback:after-entered-rolling-back", "rollback rolling-back"),
        ("release:after-intended-deploy+before-recovered", "release deploy twice"),
        ("release:after-opened", "release opened"),
        ("release:after-lease-taken-carrier", "release lease-taken-carrier"),
    ],
)
def test_the_table_has_a_row_for_each_step(step: str, named: str) -> None:
    assert column(step) == named
