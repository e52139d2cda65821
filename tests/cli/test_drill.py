"""`interlock drill`: what is started, what is said of its end; and the proof that a person sees before signing."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from typer.testing import Result

from adapters.connect import Desk, House, connect
from adapters.memory.database import MemoryDatabase
from cli.plan_sheet import proven
from cli.runs import Run as FlowRun
from domain.facts import Failed
from domain.schema.change import Lock
from domain.schema.proof import Proven, Subject
from domain.schema.rehearsal import Cost

if TYPE_CHECKING:
    from conftest import Scene

NAME = "shop-production-drill-the-run"
SUBJECT = Subject(fingerprint="f" * 64, server="18", steps=("0002_note 1234",), old="a", new="b")
COST = Cost(seconds=0.02, locks=(Lock(relation="orders", mode="ACCESS EXCLUSIVE"),), wal_bytes=100_000)
PROVEN = Proven(
    subject=SUBJECT, tier=2, after="e" * 48, costs={"0002_note": COST}, seconds=0.4, at=1.0, evidence="evidence/proof"
)


@pytest.fixture
def prefect(scene: "Scene", monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Stand in for Prefect's server, where the run is over at the first look; production has a database."""
    started: list[tuple[str, dict[str, Any]]] = []
    over = FlowRun("the-run", "http://prefect/the-run", "Completed", "", False, True, True)

    def start(deployment: str, parameters: dict[str, Any], _: object) -> FlowRun:
        started.append((deployment, parameters))
        return over

    def desk(name: str, house: House | None = None) -> Desk:
        known = connect(name, house)
        return replace(known, ports=replace(known.ports, databases={"production": MemoryDatabase()}))

    monkeypatch.setattr("cli.runs.start", start)
    monkeypatch.setattr("cli.runs.look", lambda run, _: over)
    monkeypatch.setattr("cli.drill.connect", desk)
    return started


def test_a_drill_is_started_followed_and_said_to_hold(
    scene: "Scene", run: Callable[..., Result], prefect: list[Any]
) -> None:
    scene.done("drill", PROVEN, NAME, "production")
    shown = run("drill", "shop", "production")
    assert shown.exit_code == 0, shown.stderr
    assert prefect == [("drill/interlock", {"service": "shop", "environment": "production"})]
    assert "shop production: the way back holds" in shown.stdout


def test_a_drill_that_found_something_says_what_to_do(
    scene: "Scene", run: Callable[..., Result], prefect: list[Any]
) -> None:
    failed = Failed(key="k", verb="drill", error="Rejected", message="the way back of the schema does not hold")
    scene.write(failed, NAME, "production")
    shown = run("drill", "shop", "production")
    assert "does not hold" in shown.stdout
    assert "next: interlock drill shop production" in shown.stdout


def test_where_there_is_no_way_back_to_walk_that_is_said(run: Callable[..., Result], prefect: list[Any]) -> None:
    assert "there is no way back to walk" in run("drill", "shop", "production").stdout


@pytest.mark.parametrize("words", [("shop", "dev"), ("shpo", "production")])
def test_a_place_without_a_database_is_invalid_and_starts_nothing(
    run: Callable[..., Result], prefect: list[Any], words: tuple[str, ...]
) -> None:
    assert run("drill", *words).exit_code == 2
    assert prefect == []


def test_whoever_signs_sees_what_the_proof_showed() -> None:
    console = Console(file=io.StringIO(), width=120)
    proven(PROVEN, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO from above
    assert "walked on a copy in 0.4 s, the old version runs on the new schema, and the schema can go back, too" in said
    assert "0002_note  0.02 s on the copy; 0.1 MB of log; ACCESS EXCLUSIVE on orders" in said
