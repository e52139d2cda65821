"""`interlock reconcile` and `interlock orphans`: what is shown, what is started, and how they exit."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import Result

from adapters.connect import Desk, House, connect
from adapters.memory.builder import MemoryBuilder
from adapters.memory.router import MemoryRouter
from adapters.memory.store import MemoryStore
from adapters.memory.workload import MemoryWorkload
from cli.runs import Run as FlowRun
from domain.environment.comparison import compare
from domain.environment.drift import Drift, Seen, reconciliation, report_hash
from domain.environment.orphans import Belonging
from domain.facts import Compared, Entered, GateOpened
from domain.policy.approval import Gate
from domain.release.standing import Standing

if TYPE_CHECKING:
    from conftest import Scene

Run = Callable[..., Result]
NAME = reconciliation("shop", "production", "the-run")


class Place:
    """A shop that serves 1.0.0 everywhere, on an engine and a router in memory."""

    def __init__(self, scene: "Scene") -> None:
        self.scene = scene
        scene.carry("v1.0.0")
        self.workload, self.router, self.store = MemoryWorkload(), MemoryRouter(), MemoryStore()
        for environment in ("dev", "staging", "production"):
            stands = scene.stands(environment)
            assert stands.blue
            assert stands.route
            for told in stands.blue.replicas:
                name = f"{environment}/{told.name}"
                self.workload.replicas[name] = told.model_copy(
                    update={"config_digest": stands.blue.deployment.config_digest}
                )
            self.router.apply(stands.route, 0)

    def desk(self, name: str, house: House | None = None) -> Desk:
        desk = connect(name, house)
        twins = {"workload": self.workload, "router": self.router, "store": self.store, "builder": MemoryBuilder({})}
        return replace(desk, ports=replace(desk.ports, **twins))  # type: ignore[arg-type]  # ports, all four

    def lose(self, name: str = "production/1.0.0-1") -> None:
        del self.workload.replicas[name]

    def seen(self) -> tuple[Drift, ...]:
        replicas = tuple(r for name, r in self.workload.replicas.items() if name.startswith("production/"))
        stands: Standing = self.scene.stands("production")
        return compare(stands, Seen(replicas=replicas, route=self.router.observe("shop-production")))


@pytest.fixture
def place(scene: "Scene", monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(scene)
    monkeypatch.setattr("cli.reconcile.connect", place.desk)
    monkeypatch.setattr("cli.orphans.connect", place.desk)
    return place


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Stand in for Prefect's server: remember what was started; the run is over at the first look."""
    started: list[tuple[str, dict[str, Any]]] = []
    over = FlowRun("the-run", "http://prefect/the-run", "Completed", "", False, True, True)

    def start(deployment: str, parameters: dict[str, Any], _: object) -> FlowRun:
        started.append((deployment, parameters))
        return over

    monkeypatch.setattr("cli.runs.start", start)
    monkeypatch.setattr("cli.runs.look", lambda run, _: over)
    return started


def test_a_world_that_is_as_recorded_exits_with_0(place: Place, run: Run) -> None:
    shown = run("reconcile", "shop", "production")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout == "shop in production: the world is as the ledger says\n"


def test_a_difference_exits_with_1_and_says_what_would_mend_it(place: Place, run: Run, prefect: list[Any]) -> None:
    place.lose()
    shown = run("reconcile", "shop", "production")
    assert shown.exit_code == 1
    assert "1 running: 1.0.0-1 is gone" in shown.stdout
    assert "start what 1.0.0 lacks in slot blue" in shown.stdout
    assert prefect == []
    data = json.loads(run("reconcile", "shop", "production", "--json").stdout)
    assert [drift["plane"] for drift in data["differences"]] == ["replicas"]


def test_a_repair_is_asked_for_followed_and_exits_with_0_when_nothing_is_left(
    place: Place, run: Run, prefect: list[Any]
) -> None:
    place.lose()
    place.scene.write(Compared(drifts=place.seen(), run="the-run"), NAME, "production")
    place.scene.write(Compared(drifts=(), reason="after the repair", run="the-run"), NAME, "production")
    shown = run("reconcile", "shop", "production", "--repair", "--requester", "dev", "--reason", "a host died", "-y")
    assert shown.exit_code == 0, shown.stderr
    asked = {
        "service": "shop",
        "environment": "production",
        "repair": True,
        "reason": "a host died",
        "requester": "dev",
    }
    assert prefect == [("reconcile/interlock", asked)]
    assert "1 difference between ledger and world: replicas" in shown.stdout
    assert "shop production: the world is as the ledger says" in shown.stdout


def test_what_is_left_to_people_exits_with_1(place: Place, run: Run, prefect: list[Any]) -> None:
    place.lose()
    place.scene.write(Compared(drifts=place.seen(), run="the-run"), NAME, "production")
    assert run("reconcile", "shop", "production", "--repair", "--requester", "dev", "-y").exit_code == 1


def test_what_only_people_can_mend_starts_nothing(place: Place, run: Run, prefect: list[Any]) -> None:
    known = place.workload.replicas["production/1.0.0-1"]
    theirs = known.model_copy(update={"name": "theirs", "id": "theirs", "token": 99})
    place.workload.replicas["production/theirs"] = theirs
    shown = run("reconcile", "shop", "production", "--repair", "--requester", "dev", "-y")
    assert shown.exit_code == 1
    assert "a person must decide" in shown.stdout.replace("\n", " ")
    assert prefect == []


def test_while_a_release_changes_the_environment_that_is_said(place: Place, run: Run) -> None:
    release = place.scene.begin("v1.1.0")
    place.scene.deploy(release, "production")
    shown = run("reconcile", "shop", "production")
    assert f"{release} is changing production just now" in shown.stderr


@pytest.mark.parametrize("words", [("shop", "moon"), ("shpo", "production")])
def test_an_unknown_place_is_invalid(place: Place, run: Run, words: tuple[str, ...]) -> None:
    assert run("reconcile", *words).exit_code == 2


@pytest.fixture
def gate(place: Place) -> Gate:
    """A repair that waits for people."""
    place.lose()
    scene, found = place.scene, place.seen()
    profile = scene.house.environments["production"]
    gate = Gate(
        release=NAME, service="shop", environment="production", question="reconcile", plan=report_hash(found),
        digest=f"sha256:{'0' * 64}", seats=profile.seats, barred=frozenset({"dev"}),
    )  # fmt: skip
    scene.write(Compared(drifts=found, reason="a host died", run="the-run"), NAME, "production")
    scene.write(GateOpened(gate=gate, round=1), NAME)
    return gate


def test_people_see_the_differences_they_sign(
    place: Place, run: Run, gate: Gate, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[tuple[str, str]] = []
    monkeypatch.setattr("cli.runs.wake", lambda release, first, _: woken.append((release, first)) or "http://run")
    first = run("approve", NAME, "--as", "ada", "--key", str(keys["ada"]), "--yes")
    assert first.exit_code == 0, first.stderr
    assert "1 running: 1.0.0-1 is gone" in first.stdout
    assert f"plan {gate.plan}" in first.stdout
    assert woken == []
    run("approve", NAME, "--as", "grace", "--key", str(keys["grace"]), "--yes")
    assert woken == [(NAME, "the-run")]


def test_a_report_that_is_not_the_one_in_question_is_not_signed(place: Place, run: Run, gate: Gate) -> None:
    other = gate.model_copy(update={"plan": "f" * 64})
    place.scene.write(GateOpened(gate=other, round=1), NAME)
    shown = run("approve", NAME, "--as", "ada", "--yes")
    assert shown.exit_code == 1
    assert "the plan in the journal is not the one in question" in shown.stderr


def test_a_reconciliation_explains_itself(place: Place, run: Run, gate: Gate) -> None:
    shown = run("explain", NAME)
    assert shown.exit_code == 0, shown.stderr
    assert "1 difference between ledger and world: replicas (looked because a host died)" in shown.stdout
    assert "shop production waits for people: may the world be brought back?" in shown.stdout
    assert f"next: interlock approve {NAME}" in shown.stdout
    assert json.loads(run("explain", NAME, "--json").stdout)["release"] is None


def test_a_reconciliation_that_waits_for_people_is_under_way(place: Place, run: Run, gate: Gate) -> None:
    shown = run("status").stdout
    assert f"{NAME}  waits for people · production  since" in shown
    assert "reconcile? " in shown
    assert "ada" in shown


@pytest.fixture
def orphan(place: Place) -> Belonging:
    """A container that an aborted release left behind."""
    release = place.scene.begin("v1.1.0")
    place.scene.write(Entered(phase="aborted"), release)
    left = Belonging(
        kind="container", id="c1", name="left-0", service="shop", environment="dev", release=release, age=60
    )
    place.workload.leftovers.append(left)
    return left


def test_orphans_are_shown_with_their_reasons(place: Place, run: Run, orphan: Belonging) -> None:
    shown = run("orphans")
    assert shown.exit_code == 0, shown.stderr
    [line] = [line for line in shown.stdout.splitlines() if line.startswith("container")]
    assert line.split(maxsplit=4) == ["container", "left-0", "1", "min", f"{orphan.release} is over"]
    assert place.workload.leftovers == [orphan]
    data = json.loads(run("orphans", "shop", "--json").stdout)
    assert [it["belonging"]["id"] for it in data["orphans"]] == ["c1"]


def test_orphans_are_removed_when_asked(place: Place, run: Run, orphan: Belonging) -> None:
    shown = run("orphans", "--remove", "--as", "linus", input="y\n")
    assert shown.exit_code == 0, shown.stderr
    assert place.workload.leftovers == []
    assert "linus: remove these 1?" in shown.stdout
    [cleared] = place.scene.house.journal.entries(kinds=("cleared",))
    assert (cleared.actor, cleared.release) == ("linus", orphan.release)
    assert "everything has an owner" in run("orphans").stdout


def test_what_stays_is_said(place: Place, run: Run, orphan: Belonging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.workload, "discard", lambda belonging, token: False)
    shown = run("orphans", "--remove", "--as", "linus", "--yes")
    assert "1 stay: in use, or in a place that somebody holds" in shown.stderr
