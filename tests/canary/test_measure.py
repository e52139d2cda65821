"""Judges are measured on runs that all of them share, and on none that they were tuned on."""

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from bench.canary import __main__ as command
from bench.canary import tune, whole
from bench.canary.experiments import Plan, Row, aa, detect, rivals
from bench.canary.measure import EVALUATION, TUNING, Course, follow, seeds, times_wald, wald
from bench.canary.rivals.rival import Bools, Scored
from bench.canary.rivals.ztest import ZTest
from bench.canary.scenario import ENVIRONMENTS, Fault, Scenario
from bench.canary.world import Batch


class Scripted:
    """Rolls back each run at the second that was written down for it, and remembers what it saw."""

    histograms: ClassVar[bool] = False

    def __init__(self, seconds: list[float]) -> None:
        self._seconds = np.array(seconds)
        self.seen: list[bytes] = []

    def calibrate(self, hour: Iterable[Batch]) -> None:
        """Nothing is learnt."""

    def look(self, batch: Batch) -> Bools:
        self.seen.append(batch.stable.bad.tobytes())
        return self._seconds <= batch.second


def played(seconds: list[float], scenario: Scenario, horizon: int = 100) -> Course:
    return follow({"it": lambda *_: Scripted(seconds)}, scenario, [1], horizon, runs=len(seconds))["it"]


def test_tuning_and_evaluation_share_no_seed_and_neither_do_two_seeds() -> None:
    assert set(TUNING).isdisjoint(EVALUATION)
    assert set(seeds(TUNING, 250_000, 999)) <= set(TUNING)
    assert set(seeds(EVALUATION, 250_000, 0)).isdisjoint(seeds(EVALUATION, 250_000, 1))
    assert len(seeds(EVALUATION, 251)) == 2


def test_false_rollbacks_are_counted_with_their_standard_error() -> None:
    share = played([5, 50, math.inf, 400], Scenario()).false_rollbacks()
    assert (share.value, share.runs, share.error) == (0.5, 4, 0.25)


def test_nothing_seen_is_not_certainty() -> None:
    assert 0 < played([math.inf] * 4, Scenario()).false_rollbacks().error < 1


def test_a_detection_is_timed_from_the_onset_and_leaves_out_who_was_already_gone() -> None:
    course = played([10, 60, 70, 80, math.inf], Scenario(fault=Fault(errors=1, onset=50)))
    found = course.detection(50)
    assert (found.early.value, found.power.value, found.power.runs) == (pytest.approx(0.2), 0.75, 4)
    assert (found.median, found.p90) == (20, math.inf)
    assert found.mean == pytest.approx((10 + 20 + 30 + 50) / 4)


def test_failures_are_counted_from_the_onset_until_the_roll_back() -> None:
    scenario = Scenario(rps=1000, share=0.5, errors=1e-9, fault=Fault(errors=1, onset=50))
    course = played([60, math.inf], scenario)
    assert course.failed == pytest.approx([10 * 500, 50 * 500], rel=0.05)
    assert (course.failed == course.requests).all()


def test_every_judge_sees_the_same_runs_until_it_has_decided() -> None:
    made: list[Scripted] = []

    def make(*_: object) -> Scripted:
        made.append(Scripted([20.0 if made else 40.0]))
        return made[-1]

    follow({"one": make, "other": make}, Scenario(rps=500, errors=0.2), [1], 100, runs=1)
    assert (len(made[0].seen), len(made[1].seen)) == (8, 4)
    assert made[0].seen[:4] == made[1].seen


@pytest.mark.parametrize(("p0", "p1", "requests"), [(0.001, 0.01, 327), (0.001, 0.005, 1136), (0.01, 0.02, 1177)])
def test_walds_bound_is_what_it_is_known_to_be(p0: float, p1: float, requests: int) -> None:
    assert wald(p0, p1, 0.01) == pytest.approx(requests, abs=0.5)
    assert wald(p0, 1, 0.01) == pytest.approx(math.log(100) / math.log(1 / p0))


def test_the_bound_is_only_quoted_where_it_holds() -> None:
    faulty = Scenario(fault=Fault(factor=10))
    found = played([50], faulty).detection()
    assert times_wald(found, faulty, 0.01) == pytest.approx(found.requests / wald(0.001, 0.01, 0.01))
    for other in (
        Scenario(),
        faulty.model_copy(update={"environment": ENVIRONMENTS["noisy"]}),
        Scenario(fault=Fault(factor=10, one_host=True)),
        Scenario(fault=Fault(factor=10, onset=5)),
    ):
        assert math.isnan(times_wald(found, other, 0.01))
    assert math.isnan(times_wald(played([50, math.inf], faulty).detection(), faulty, 0.01))


def test_a_tuned_limit_spends_the_budget_on_its_own_seeds_and_no_more() -> None:
    scenario, chosen = Scenario(rps=100, errors=0.01), [1, 2]
    found = tune.limit(lambda _, runs, limit: ZTest(runs, limit), scenario, 0.1, chosen, 300, 100)

    def wrong(limit: float) -> float:
        course = follow({"z": lambda _, runs: ZTest(runs, limit)}, scenario, chosen, 300, 100)["z"]
        return course.false_rollbacks().value

    assert wrong(found) == 0.1
    assert wrong(math.nextafter(found, 0)) > 0.1


def test_a_limit_that_counts_stays_a_whole_number() -> None:
    class Counted(Scored):
        def score(self, batch: Batch) -> np.ndarray:
            return np.arange(10.0)

    assert tune.limit(lambda *_: Counted(0), Scenario(), 0.2, [1], 5, 10) == 8


@pytest.mark.parametrize(("experiment", "tables"), [(aa, 1), (detect, 14), (rivals, 10)])
def test_each_experiment_gives_a_row_per_judge(experiment: Callable[[Plan], Iterator[list[Row]]], tables: int) -> None:
    plan = Plan(runs=1, horizon=60, look=30, rps=(50,), errors=(0.01,), environments=("independent",))
    given = list(experiment(plan))
    assert len(given) == tables
    for rows in given:
        assert len({row["judge"] for row in rows}) == len(rows) > 1
        assert {row["runs"] for row in rows} == {250}


def test_a_limit_tuned_in_calm_weather_is_measured_in_the_weather_that_came() -> None:
    plan = Plan(runs=1, horizon=300, look=30, rps=(500,), errors=(0.01,), environments=("noisy",))
    known, unknown = (
        {row["judge"]: row for row in next(rivals(one))} for one in (plan, replace(plan, tuned_in="independent"))
    )
    assert unknown["z, tuned"]["limit"] < known["z, tuned"]["limit"]
    assert unknown["z, tuned"]["rolled back"] > 2 * known["z, tuned"]["rolled back"]


def test_the_command_prints_tables_and_keeps_every_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.json"
    arguments = ["aa", "--quick", "--errors-only", "--horizon", "120", "--look", "30", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["bench.canary", *arguments])
    assert command.main() == 0
    kept = json.loads(file.read_text())
    assert kept["conditions"]["runs"] == 250
    assert {row["environment"] for row in kept["rows"]} == {"independent", "diurnal noisy"}
    assert "Kayenta, last 20" in capsys.readouterr().out


def test_whole_releases_are_promoted_sent_back_or_held_on_their_evidence() -> None:
    scenario = Scenario(rps=200, candidates=2, stables=2, look=1)
    good, bad, silent = (
        whole.release(scenario.faulty(fault) if fault else scenario.model_copy(update={"rps": 0.01}), 7, spread=0.0)
        for fault in (Fault(), Fault(errors=0.3), None)
    )
    assert (good.action, bad.action, silent.action) == ("promote", "rollback", "hold")
    assert bad.seconds < 10 < good.seconds < 600
    assert silent.seconds == whole.PATIENCE
    assert whole.told([good, bad, silent])["held"] == pytest.approx(1 / 3)
