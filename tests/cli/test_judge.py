"""`interlock judge` as a filter: lines in, lines out, no server and no ledger."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from typer.testing import Result

from config.settings import HOUSE
from domain.canary.calibration import known
from domain.canary.judge import Judge
from domain.canary.ramp import Course
from domain.canary.tick import Cell, Tick
from domain.facts import Judged, Looked

if TYPE_CHECKING:
    from conftest import Scene

Run = Callable[..., Result]
PLAN = {"bake": "5s", "criteria": {"latency": None, "spread": 0.0, "error_floor": 0.01, "harm_budget": 0.01}}


def line(t: int, canary_bad: int, requests: int = 40, **more: object) -> str:
    arms = {"canary": {"web-1": {"requests": requests, "bad": canary_bad}}, "baseline": {"web-2": {"requests": 360}}}
    return json.dumps({"t": float(t), "seq": t, "arms": arms} | more)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(PLAN))
    return file


def told(shown: Result) -> list[dict[str, object]]:
    return [json.loads(text) for text in shown.stdout.splitlines()]


def test_every_tick_gets_a_verdict_and_a_bad_canary_goes_back(run: Run, plan: Path, tmp_path: Path) -> None:
    ticks = tmp_path / "ticks.jsonl"
    ticks.write_text("\n".join([*(line(t, 0) for t in range(3)), *(line(t, 20) for t in range(3, 6))]))
    verdicts = told(run("judge", "--plan", str(plan), "--ticks", str(ticks)))
    assert [it["t"] for it in verdicts] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [it["action"] for it in verdicts] == ["continue"] * 3 + ["rollback"] * 3
    assert verdicts[3].keys() == {"t", "action", "host", "share_bp", "reasons", "evidence"}
    assert verdicts[3]["share_bp"] == 0
    assert "fails more" in str(verdicts[3]["reasons"])


def test_it_runs_in_a_pipe_without_any_house(plan: Path, tmp_path: Path) -> None:
    ticks = "\n".join(line(t, 0) for t in range(60)) + "\n"
    done = subprocess.run(
        [sys.executable, "-m", "cli.app", "judge", "--plan", str(plan)],
        input=ticks, capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60,
        env=os.environ | {"PYTHONPATH": str(HOUSE)},
    )  # fmt: skip
    actions = [json.loads(text)["action"] for text in done.stdout.splitlines()]
    assert len(actions) == 60
    assert "advance" in actions


def test_a_line_that_is_no_tick_is_named_and_ends_it_or_is_skipped(run: Run, plan: Path, tmp_path: Path) -> None:
    ticks = tmp_path / "ticks.jsonl"
    broken = json.dumps({"t": 1.0, "seq": 1, "arms": {"canary": {"web-1": {"requests": 5, "bad": 9}}, "tea": {}}})
    ticks.write_text("\n".join([line(0, 0), broken, "{", line(2, 0), line(2, 0)]))
    ended = run("judge", "--plan", str(plan), "--ticks", str(ticks))
    assert ended.exit_code == 2
    assert "line 2: " in ended.stderr
    assert "arms.canary.web-1.bad" in ended.stderr
    assert "arms.tea: unknown" in ended.stderr
    skipped = run("judge", "--plan", str(plan), "--ticks", str(ticks), "--bad-lines", "skip")
    assert [it["t"] for it in told(skipped)] == [0.0, 2.0]
    assert "line 3 is skipped: no JSON" in skipped.stderr
    assert "line 5 is skipped: it was told before" in skipped.stderr


def test_the_defaults_are_a_plan_that_says_what_each_key_means(run: Run, tmp_path: Path) -> None:
    shown = run("judge", "--show-defaults").stdout
    file = tmp_path / "plan.yaml"
    file.write_text(shown)
    assert Course.model_validate(yaml.safe_load(shown)) == Course()
    assert run("judge", "--plan", str(file), "--ticks", str(tmp_path / "plan.yaml")).exit_code == 2  # it is no tick
    assert "chance to roll back a good release" in shown


def test_a_release_that_was_never_judged_replays_nothing_and_one_without_a_plan_is_told(
    scene: "Scene", run: Run, tmp_path: Path
) -> None:
    release = scene.carry("v1.0.0")
    assert f"{release}: 0 verdicts" in run("replay", release).stdout
    policy = tmp_path / "policy.yaml"
    policy.write_text("alpha: 2\n")
    assert "alpha" in run("replay", release, "--policy", str(policy)).stderr
    assert run("replay", "nothing").exit_code == 2


def test_a_replay_writes_the_report_from_the_journal_alone(scene: "Scene", run: Run, tmp_path: Path) -> None:
    scene.carry("v1.0.0")
    release = scene.begin("v1.1.0")
    judge = Judge(scene.plans[release].criteria, known((), "candidate", None))
    judge.enter(1000, 5000)
    for second in range(5):
        cells = [
            Cell(arm="candidate", replica="<b>", requests=20, bad=8),
            Cell(arm="stable", replica="s", requests=180, bad=0),
        ]
        tick = Tick(second=second, cells=tuple(cells))
        verdict = judge.look(tick)
        scene.write(Looked(share=1000, next_share=5000, tick=tick), release, "production")
    scene.write(Judged(share=1000, verdict=verdict), release, "production")
    file = tmp_path / "report.html"
    assert run("replay", release, "--report", str(file)).exit_code == 0
    page = file.read_text()
    assert "<title>v1.1.0 fails 40 % of requests, v1.0.0 0 %: sent back after 5 s</title>" in page
    assert "&lt;b&gt;" in page
    assert run("replay", release, "--report", str(file)).exit_code == 0
    assert file.read_text() == page
    assert run("replay", release, "--report", str(tmp_path / "no" / "folder.html")).exit_code == 2
    assert run("replay", release, "--report", str(file), "--policy", str(file)).exit_code == 2


def test_a_plan_with_a_typo_is_refused_with_all_that_is_wrong(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("steps: [5000]\nbakes: 5s\n")
    shown = run("judge", "--plan", str(file))
    assert shown.exit_code == 2
    assert "bake" in shown.stderr
    assert "bakes" in shown.stderr


def test_whoever_writes_one_tick_gets_its_verdict_before_the_next(run: Run, plan: Path, tmp_path: Path) -> None:
    ticks = tmp_path / "ticks.jsonl"
    ticks.write_text("".join(line(t, t // 100) + "\n" for t in range(150)))
    answers = []
    with subprocess.Popen(
        [sys.executable, "-m", "cli.app", "judge", "--plan", str(plan)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(HOUSE)},
    ) as running:  # fmt: skip
        assert running.stdin
        assert running.stdout
        for t in range(150):
            print(line(t, t // 100), file=running.stdin, flush=True)
            answers.append(running.stdout.readline())
            assert json.loads(answers[-1])["t"] == t
        running.stdin.close()
    assert running.returncode == 0
    assert "".join(answers) == run("judge", "--plan", str(plan), "--ticks", str(ticks)).stdout  # all at once


def test_a_refused_line_ends_it_after_all_before_it_were_answered(run: Run, plan: Path, tmp_path: Path) -> None:
    ticks = tmp_path / "ticks.jsonl"
    ticks.write_text("\n".join([line(0, 0), line(1, 0), "{", line(3, 0)]))
    ended = run("judge", "--plan", str(plan), "--ticks", str(ticks))
    assert ended.exit_code == 2
    assert [it["t"] for it in told(ended)] == [0.0, 1.0]


def test_a_bake_may_be_held_against_a_past_from_a_file(run: Run, tmp_path: Path) -> None:
    def told_of(minutes: range, bad: int) -> str:
        arms = ({"arms": {"canary": {"web": {"requests": 3000, "bad": bad + minute % 3}}}} for minute in minutes)
        return "\n".join(json.dumps({"t": 60.0 * minute} | it) for minute, it in zip(minutes, arms, strict=True))

    plan, past, ticks = (tmp_path / name for name in ("plan.yaml", "past.jsonl", "ticks.jsonl"))
    criteria = {"latency": None, "error_floor": 0.4, "season": {"bake": "5m"}}
    plan.write_text(yaml.safe_dump({"steps": [10_000], "bake": "1h", "criteria": criteria}))
    past.write_text(told_of(range(1, 2000), 5))
    ticks.write_text(told_of(range(2000, 2010), 20))
    ask = ("judge", "--plan", str(plan), "--ticks", str(ticks))
    assert {it["action"] for it in told(run(*ask))} == {"continue"}
    assert told(run(*ask, "--past", str(past)))[-1]["action"] == "rollback"
    assert run(*ask, "--past", str(tmp_path / "none")).exit_code == 2
