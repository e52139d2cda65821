"""One broken replica of the candidate: it loses its traffic, people are asked, and the version goes on without it."""

from functools import partial
from typing import TYPE_CHECKING

import pytest

from domain.canary.replay import replay
from domain.canary.tick import Arm, Cell, Tick
from domain.errors import Rejected
from domain.facts import Judged
from domain.policy.approval import Gate
from domain.release.recall import plan_of
from domain.release.route import Route, Slot
from flows.release import release
from tasks.judge import judge_of

if TYPE_CHECKING:
    from conftest import World

BROKEN = "-1"  # how the name of the replica ends that fails a third of its requests
PER_SECOND = 600


def visits(route: Route, candidate: Slot, second: int) -> Tick:
    """Send requests to every replica on the route, evenly within an arm."""
    cells = []
    for slot in ("blue", "green"):
        arm: Arm = "candidate" if slot == candidate else "stable"
        there = route.endpoints(slot)
        for endpoint in there:
            n = round(PER_SECOND * route.share(slot) / 10_000 / len(there))
            broken = arm == "candidate" and endpoint.name.endswith(BROKEN)
            cells.append(Cell(arm=arm, replica=endpoint.name, requests=n, bad=n // 3 if broken else 0))
    return Tick(second=second, cells=tuple(cell for cell in cells if cell.requests))


class Interrupted(BaseException):
    """The run is suspended, and its process ends."""


@pytest.fixture
def asked(world: "World", monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A shop that serves 1.0.0, a 1.1.0 to release, and people who go on whenever they are asked."""
    questions: list[str] = []

    def ask(warrant: object, gate: Gate, *_: object) -> None:
        questions.append(gate.question)

    production = world.desk.catalog.environments["production"]
    seated = production.model_copy(update={"seats": (("tech-lead",),), "replicas": 3})
    world.desk.catalog.environments["production"] = seated
    monkeypatch.setattr("flows.ramp.ask", ask)
    monkeypatch.setattr("flows.gate.ask", ask)
    monkeypatch.setattr("tasks.step.Permit.insist", lambda *_: None)
    release.fn("shop", "v1.0.0", "production", "dora", "a test")
    world.source.commit("feat: notes", {"app.py": "notes"}, tag="v1.1.0")
    world.router.traffic = visits
    questions.clear()
    return questions


def go() -> str:
    return release.fn("shop", "v1.1.0", "production", "dora", "a test")


def test_the_broken_replica_loses_its_traffic_before_people_are_asked(
    world: "World", asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def ask(warrant: object, gate: Gate, *_: object) -> None:
        route = world.router.observe("shop-production")
        assert route
        seen.append(len(route.endpoints("green")))
        asked.append(gate.question)

    monkeypatch.setattr("flows.ramp.ask", ask)
    go()
    assert seen == [2]
    assert [it for it in asked if "go on" in it] == ["go on at 10 %, 1"]
    assert world.phase("v1.1.0") == "released"
    route = world.router.observe("shop-production")
    assert route
    assert [it.name for it in route.endpoints("green") if it.name.endswith(BROKEN)] == []


def test_a_run_that_waits_for_people_looks_at_nothing_before_they_have_answered(
    world: "World", asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def suspend(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr("flows.ramp.ask", suspend)
        for _ in range(2):  # resumed once by force, with no answer
            with pytest.raises(Interrupted):
                go_on(world)
        journal = world.desk.journal
        name = world.release("v1.1.0")
        held = journal.entries(release=name, kinds=("judged",))
        assert [e.fact.verdict.decision for e in held if isinstance(e.fact, Judged)] == ["hold"]
    go_on(world)
    assert world.phase("v1.1.0") == "released"
    plan = plan_of(journal.entries(release=name))
    assert plan
    seen = journal.entries(release=name, kinds=("looked", "judged"))
    told = replay(seen, partial(judge_of, journal, plan, name))
    assert [one.recorded.decision for one in told] == ["hold", "promote", "promote", "promote"]
    assert all(one.same for one in told)


def test_without_anybody_to_ask_the_candidate_goes_back(world: "World", asked: list[str]) -> None:
    production = world.desk.catalog.environments["production"]
    world.desk.catalog.environments["production"] = production.model_copy(update={"seats": ()})
    with pytest.raises(Rejected, match="nobody is declared to decide"):
        go()
    assert world.serving("production")[:2] == ("1.0.0", 3)


def go_on(world: "World") -> None:
    """Begin the release, or go on with it."""
    known = [e.release for e in world.desk.journal.entries(kinds=("opened",)) if "v1.1.0" in e.release]
    world.expire_leases()
    release.fn("shop", "v1.1.0", "production", "dora", "a test", known[-1] if known else "")
