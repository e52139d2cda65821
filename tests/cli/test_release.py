"""Starting and following runs; Prefect's server is played by a script of states."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import Result

from cli.runs import Run as FlowRun
from domain.facts import Opened
from domain.release.plan import Request

if TYPE_CHECKING:
    from conftest import Scene

Run = Callable[..., Result]
Step = Callable[[], None]


class Prefect:
    """Remembers what was started; plays one step of a script per look, and reports the state beside it."""

    def __init__(self) -> None:
        self.started: list[tuple[str, dict[str, Any]]] = []
        self.script: Iterator[tuple[Step, FlowRun]] = iter(())

    def start(self, deployment: str, parameters: dict[str, Any], _: object) -> FlowRun:
        self.started.append((deployment, parameters))
        return state("Scheduled")

    def look(self, run: str, _: object) -> FlowRun:
        assert run == "the-run"
        act, now = next(self.script)
        act()
        return now


def state(name: str, message: str = "") -> FlowRun:
    over = name in ("Completed", "Failed", "Crashed")
    return FlowRun("the-run", "http://prefect/the-run", name, message, name == "Suspended", over, name == "Completed")


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Prefect:
    prefect = Prefect()
    monkeypatch.setattr("cli.runs.start", prefect.start)
    monkeypatch.setattr("cli.runs.look", prefect.look)
    monkeypatch.setattr("cli.follow._BEAT", 0.0)
    return prefect


def opened(scene: "Scene", release: str) -> Step:
    request = Request(service="shop", ref="v1.0.0", environments=("dev",), requester="dev")
    return lambda: scene.write(Opened(request=request, run="the-run"), release)


def test_a_release_is_started_as_asked(scene: "Scene", run: Run, prefect: Prefect) -> None:
    words = ("--ref", "v1.0.0", "--to", "staging", "--requester", "dev", "--reason", "why not", "--no-wait")
    shown = run("release", "shop", *words)
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout == "run http://prefect/the-run\n"
    parameters = {"service": "shop", "ref": "v1.0.0", "to": "staging", "requester": "dev", "reason": "why not"}
    assert prefect.started == [("release/interlock", {**parameters, "resume": ""})]


@pytest.mark.parametrize(
    "words", [("shopp",), ("shop", "--ref", "v9.9.9"), ("shop", "--to", "moon"), ("shop", "--requester", "mallory")]
)
def test_what_cannot_be_released_is_never_started(run: Run, prefect: Prefect, words: tuple[str, ...]) -> None:
    shown = run("release", *words, *(() if "--requester" in words else ("--requester", "dev")))
    assert shown.exit_code == 2
    assert prefect.started == []


def test_it_follows_until_the_release_is_over(scene: "Scene", run: Run, prefect: Prefect) -> None:
    phases = ("planned", "built", "deploying", "baking", "settled", "released")
    steps: list[tuple[Step, FlowRun]] = [(lambda: None, state("Pending")), (opened(scene, "r-1"), state("Running"))]
    for phase in phases:
        steps.append((lambda phase=phase: scene.enter("r-1", phase, environment="dev"), state("Running")))  # type: ignore[misc]  # bound now
    prefect.script = iter([*steps, (lambda: None, state("Completed"))])
    shown = run("release", "shop", "--ref", "v1.0.0", "--requester", "dev")
    assert shown.exit_code == 0, shown.stderr
    told = [line.partition("▸ ")[2] for line in shown.stdout.splitlines() if "▸" in line]
    assert told == list(phases)
    assert shown.stdout.endswith("shop is released\nnext: interlock status shop\n")


def test_it_stops_where_people_are_asked(scene: "Scene", run: Run, prefect: Prefect) -> None:
    release = scene.begin("v1.0.0")

    def asks() -> None:
        opened(scene, release)()
        scene.ask(release)

    prefect.script = iter([(asks, state("Running")), (lambda: None, state("Suspended"))])
    shown = run("release", "shop", "--ref", "v1.0.0", "--requester", "dev")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.endswith(f"next: interlock approve {release}\n")


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        ("Refused: the plan is refused\nrule: no\n  → mend it", 3, "error: the plan is refused\nrule: no\n→ mend it\n"),
        (
            "Flow run encountered an exception: Invalid: no such ref",
            2,
            "error: no such ref\n→ see http://prefect/the-run\n",
        ),
        ("", 1, "error: the run is Crashed: no reason given\n→ see http://prefect/the-run\n"),
    ],
)
def test_a_run_that_never_came_to_a_plan_ends_as_its_error(
    run: Run, prefect: Prefect, message: str, code: int, says: str
) -> None:
    prefect.script = iter([(lambda: None, state("Failed" if message else "Crashed", message))])
    shown = run("release", "shop", "--ref", "v1.0.0", "--requester", "dev")
    assert (shown.exit_code, shown.stderr) == (code, says)


def test_a_release_that_was_taken_back_fails_with_its_reason(scene: "Scene", run: Run, prefect: Prefect) -> None:
    scene.carry("v1.0.0")
    release = scene.begin("v1.1.0")

    def fails() -> None:
        opened(scene, release)()
        scene.deploy(release, "dev")
        scene.enter(release, "rolling back", "rolled back", environment="dev", reason="check smoke failed")

    prefect.script = iter([(fails, state("Failed", "Rejected: check smoke failed\n  → look at its log"))])
    shown = run("release", "shop", "--ref", "v1.1.0", "--requester", "dev")
    assert shown.exit_code == 1
    assert "\nshop 1.1.0 is out of dev again: check smoke failed\nnext: interlock plan shop" in shown.stdout
    assert shown.stderr == "error: check smoke failed\n→ look at its log\n"


def test_an_interrupted_release_is_continued_from_where_it_was_told(scene: "Scene", run: Run, prefect: Prefect) -> None:
    release = scene.begin("v1.0.0")
    steps = [(lambda: scene.settle(release, "dev"), state("Running"))]
    prefect.script = iter([*steps, (lambda: scene.enter(release, "released"), state("Completed"))])
    shown = run("release", "shop", "--resume", release, "--requester", "dev")
    assert shown.exit_code == 0, shown.stderr
    assert prefect.started[0][1]["resume"] == release
    assert "asked for" not in shown.stdout
    over = run("release", "shop", "--resume", release, "--requester", "dev")
    assert (over.exit_code, over.stderr) == (3, f"error: {release} is released\n→ start a new release\n")
    assert run("release", "shop", "--resume", "nothing", "--requester", "dev").exit_code == 2


def test_a_rollback_shows_its_way_asks_and_follows(scene: "Scene", run: Run, prefect: Prefect) -> None:
    first, second = scene.carry("v1.0.0"), scene.carry("v1.1.0")
    prefect.script = iter([(lambda: scene.take_back(second, to=first), state("Completed"))])
    shown = run("rollback", "shop", "production", "--reason", "slow", "--requester", "linus", input="y\n")
    assert shown.exit_code == 0, shown.stderr
    assert f"the way back out of {second}" in shown.stdout
    for step in (
        "1. start 1.0.0 in slot blue",
        "2. give slot blue (1.0.0) all traffic",
        "3. drain and stop slot green",
    ):
        assert f"  {step}" in shown.stdout
    assert "  data: no schema change" in shown.stdout
    assert "linus: walk this way back in production? [y/N]" in shown.stdout
    parameters = {"service": "shop", "environment": "production", "reason": "slow", "requester": "linus"}
    assert prefect.started == [("rollback/interlock", parameters)]
    assert "asked for v1.1.0" not in shown.stdout  # only what is new
    assert "shop 1.1.0 is out of production again: customers complain" in shown.stdout


def test_a_rollback_whose_run_fails_is_no_success_whatever_was_rolled_back_before(
    scene: "Scene", run: Run, prefect: Prefect
) -> None:
    first, second = scene.carry("v1.0.0"), scene.carry("v1.1.0")
    scene.take_back(second, to=first)
    prefect.script = iter([(lambda: None, state("Failed", "Refused: it cannot"))])
    shown = run("rollback", "shop", "dev", "--reason", "slow", "--requester", "linus", "--yes")
    assert (shown.exit_code, shown.stderr) == (3, "error: it cannot\n→ see http://prefect/the-run\n")


def test_a_rollback_is_refused_as_the_flow_would(scene: "Scene", run: Run, prefect: Prefect) -> None:
    words = ("rollback", "shop", "production", "--reason", "slow", "--requester", "linus", "--yes")
    never = run(*words)
    assert (never.exit_code, never.stderr) == (3, "error: shop in production: nothing was ever released here\n")
    first = scene.carry("v1.0.0")
    assert f"error: shop in production: {first} is the first release" in run(*words).stderr
    scene.take_back(scene.carry("v1.1.0"), to=first)
    assert "error: shop in production was just rolled back to 1.0.0\n→ to go further back" in run(*words).stderr
    assert run("rollback", "shop", "moon", "--reason", "x", "--requester", "linus").exit_code == 2
    assert run("rollback", "shop", "production", "--requester", "linus").exit_code == 2
    assert prefect.started == []


def test_a_rollback_that_nobody_confirms_is_not_started(scene: "Scene", run: Run, prefect: Prefect) -> None:
    scene.carry("v1.0.0")
    scene.carry("v1.1.0")
    shown = run("rollback", "shop", "production", "--reason", "slow", "--requester", "linus", input="\n")
    assert shown.exit_code == 1
    assert prefect.started == []
