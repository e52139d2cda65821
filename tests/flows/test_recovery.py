"""Runs are killed at every single fact that they write, and the sweep brings each release to a legal end."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from domain.canary.tick import Cell, Tick
from domain.errors import ReleaseError
from domain.facts import Entry, Recovered
from domain.release.route import Route
from flows import dispatch
from flows.release import release
from flows.rollback import rollback
from flows.sweep import sweep

if TYPE_CHECKING:
    from conftest import World

ONCE = ("build", "publish", "back_up", "migrate", "deploy", "attach", "shift", "retire")


ADD = "-- interlock: phase=expand\nalter table orders add note text;"


def go(ref: str) -> str:
    return release.fn("shop", ref, "production", "dora", "a test")


def visits(route: Route, candidate: str, second: int) -> Tick:
    """Send 400 requests a second, split as the route says; all of them succeed."""
    n = round(400 * route.share(candidate) / 10_000)  # type: ignore[arg-type]
    cells = (
        Cell(arm="candidate", replica="c", requests=n, bad=0),
        Cell(arm="stable", replica="s", requests=400 - n, bad=0),
    )
    return Tick(second=second, cells=tuple(cell for cell in cells if cell.requests))


class Died(BaseException):
    """The process is gone; nothing that is not in the journal or in the world is left."""


class Reaper:
    """Counts the points that a process comes by, and ends it at one of them."""

    def __init__(self) -> None:
        self.points: list[str] = []
        self.at: int | None = None

    def point(self, when: str, fact: str, name: str = "", environment: str = "") -> None:
        self.points.append(" ".join(filter(None, (when, fact, name, environment))))
        if len(self.points) - 1 == self.at:
            raise Died(self.points[-1])


class Prefect:
    """Starts runs when it is asked to, and knows how each one ended."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, dict[str, Any]]] = []
        self.ends: dict[str, dispatch.Ended] = {}
        self.words: list[str] = []

    def start(self, deployment: str, parameters: dict[str, Any]) -> str:
        self.waiting.append((deployment, parameters))
        return str(uuid4())

    def run(self) -> None:
        """Run everything that was started, as runs of their own."""
        waiting, self.waiting = self.waiting, []
        for deployment, parameters in waiting:
            {"release/interlock": release.fn, "rollback/interlock": rollback.fn}[deployment](**parameters)


@pytest.fixture
def reaper(monkeypatch: pytest.MonkeyPatch) -> Reaper:
    reaper = Reaper()
    for module in ("tasks.step", "flows.hold"):
        monkeypatch.setattr(f"{module}.point", reaper.point)
    return reaper


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Prefect:
    prefect = Prefect()
    monkeypatch.setattr(dispatch, "start", prefect.start)
    monkeypatch.setattr(dispatch, "end_of", lambda run: prefect.ends.get(run, "unknown"))
    monkeypatch.setattr(dispatch, "leave_word", lambda run, text: prefect.words.append(text))
    return prefect


@pytest.fixture
def opened(world: "World") -> "World":
    """A shop whose v1.0.0 serves everywhere, with visitors, and a v1.1.0 to release."""
    go("v1.0.0")
    world.source.commit("feat: notes", {"db/0002_note.up.sql": ADD, "app.py": "notes"}, tag="v1.1.0")
    world.router.traffic = visits
    return world


def recovered(world: "World") -> list[Recovered]:
    return [e.fact for e in world.desk.journal.entries(kinds=("recovered",)) if isinstance(e.fact, Recovered)]


def bring_to_rest(world: "World", prefect: Prefect, tries: int = 6) -> None:
    """Sweep and run what the sweep starts until nothing is unfinished."""
    for _ in range(tries):
        world.expire_leases()
        sweep.fn()
        if not prefect.waiting:
            return
        try:
            prefect.run()
        except ReleaseError:
            continue  # a release that goes back says so by failing
    raise AssertionError(f"no rest after {tries} sweeps: {recovered(world)}")


def insist_on_a_legal_end(world: "World") -> None:
    """Check what can be seen from outside: one version everywhere, nothing done twice, nothing left over."""
    journal = world.desk.journal
    for environment in ("dev", "production"):
        version, replicas, share = world.serving(environment)
        assert share == 10_000
        assert {r.version for r in world.workload.running("shop", environment)} == {version}
        assert replicas == world.desk.environments[environment].replicas
        applied = [row.number for row in world.databases[environment].applied()]
        assert applied == sorted(set(applied))
        holder = world.desk.leases.holder("shop", environment)
        assert holder is None or holder.expires_in <= 0
    for verb in ONCE:
        keys = [(entry.release, entry.fact.key) for entry in done(world, verb)]  # type: ignore[union-attr]  # by kind
        assert len(keys) == len(set(keys))
    told = world.notices.delivered
    assert len(told) == len(set(told))
    assert journal.checkpoint() is not None


def done(world: "World", verb: str) -> Iterator[Entry]:
    return (e for e in world.desk.journal.entries(kinds=("done",)) if e.fact.verb == verb)  # type: ignore[union-attr]


def points_of(world: "World", reaper: Reaper, act: Any) -> int:
    """Run once unharmed; tell how many points there were."""
    reaper.points.clear()
    with suppress(ReleaseError):
        act()
    return len(reaper.points)


@pytest.mark.parametrize("point", range(0, 150, 1))
def test_a_good_release_killed_at_any_fact_is_finished_by_the_sweep(
    opened: "World", reaper: Reaper, prefect: Prefect, point: int
) -> None:
    reaper.at = point
    try:
        go("v1.1.0")
    except Died:
        bring_to_rest(opened, prefect)
    insist_on_a_legal_end(opened)
    if any("v1.1.0" in e.release for e in opened.desk.journal.entries(kinds=("opened",))):
        assert opened.phase("v1.1.0") == "released"
        assert opened.serving("production") == ("1.1.0", 2, 10_000)
        assert len(list(done(opened, "shift"))) > 0
