"""A campaign that was stopped goes on; another commit or seed begins anew."""

import io
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console

from bench.chaos.campaign import conclude
from bench.chaos.faults import Fault, every_fault
from bench.chaos.options import read
from bench.chaos.play import Outcome, failures
from bench.chaos.record import Record, figures, line, table
from bench.chaos.versions import BAD
from bench.traffic import Event

ONE, OTHER = every_fault()[:2]


def outcome(fault: Fault, **more: object) -> dict[str, object]:
    return asdict(Outcome(fault.name, hit=True, ended="released", requests=10)) | more


def test_what_has_passed_is_known_to_the_next_call(tmp_path: Path) -> None:
    first = Record.open(tmp_path, "abc", 1, fresh=False)
    first.keep(outcome(ONE))
    first.keep(outcome(OTHER, wrong=["an order is lost"]))
    again = Record.open(tmp_path, "abc", 1, fresh=False)
    assert [again.passed(fault) for fault in (ONE, OTHER)] == [True, False]


def test_parts_are_played_side_by_side_and_told_as_one(tmp_path: Path) -> None:
    halves = [Record.open(tmp_path, "abc", 1, fresh=False, part=part) for part in (1, 2)]
    for record, fault in zip(halves, (ONE, OTHER), strict=True):
        record.keep(outcome(fault))
    whole = Record.open(tmp_path, "abc", 1, fresh=False)
    assert whole.passed(ONE)
    assert whole.passed(OTHER)
    meant = [read(["--faults", "30", *part]).faults for part in ([], ["--part", "1/2"], ["--part", "2/2"])]
    assert (meant[0][::2], meant[0][1::2]) == (meant[1], meant[2])


def test_a_point_that_was_not_reached_has_not_passed(tmp_path: Path) -> None:
    record = Record.open(tmp_path, "abc", 1, fresh=False)
    record.keep(outcome(ONE, hit=False))
    assert not record.passed(ONE)


@pytest.mark.parametrize(("commit", "seed", "fresh"), [("abd", 1, False), ("abc", 2, False), ("abc", 1, True)])
def test_another_commit_another_seed_and_fresh_begin_anew(tmp_path: Path, commit: str, seed: int, fresh: bool) -> None:
    Record.open(tmp_path, "abc", 1, fresh=False).keep(outcome(ONE))
    assert not Record.open(tmp_path, commit, seed, fresh=fresh).passed(ONE)


def test_a_violation_is_the_exit_code_and_comes_with_its_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record.open(tmp_path, "abc", 7, fresh=False)
    record.keep(outcome(ONE))
    assert conclude([ONE, OTHER], record, 7) == 0
    record.keep(outcome(OTHER, wrong=["an order is lost"]))
    assert conclude([ONE, OTHER], record, 7) == 1
    said = capsys.readouterr().out
    assert f"make chaos SEED=7 FAULT={OTHER.kind} STEP={OTHER.step}" in said
    assert "an order is lost" in said


def test_the_table_counts_what_passed_of_what_was_played() -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(table([outcome(ONE), outcome(OTHER, wrong=["x"])]))
    assert "1/2!" in console.export_text()


def test_figures_are_medians_and_nearest_ranks() -> None:
    some = [outcome(ONE, rest_after=float(n), noticed_after=None) for n in range(1, 101)]
    assert figures(some) == ["fault → at rest: p50 50.5 s, p99 99.0 s, max 100.0 s (100)", "1000 requests, 0 failed"]


@pytest.mark.parametrize(("more", "mark"), [({}, "✓"), ({"wrong": ["x"]}, "✗"), ({"hit": False}, "·")])
def test_a_line_says_at_once_how_it_went(more: dict[str, object], mark: str) -> None:
    assert line(1, 2, outcome(ONE, **more)).startswith(f"{mark} 1/2 {ONE.name}")


def test_what_a_bad_version_does_itself_is_no_failure_of_the_release() -> None:
    def event(status: str, version: str) -> Event:
        return Event(0.0, status, version, "list", "", 1.0)

    bad = BAD.removeprefix("v")
    events = [event("200", bad), event("500", bad), event("503", bad), event("500", "2.0.1"), event("TimeoutError", "")]
    assert failures(events) == {f"list 503 {bad}": 1, "list 500 2.0.1": 1, "list TimeoutError": 1}
