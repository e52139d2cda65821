"""The judge's chart and report of a release: there for people to look at, and never in a release's way."""

from collections.abc import Iterator
from functools import partial
from threading import Event
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run

from domain.canary.tick import Cell, Tick
from domain.errors import Rejected, Unavailable
from domain.facts import Done, Entered
from domain.release.explain import story
from domain.release.recall import plan_of
from domain.release.route import Route
from flows import chart
from flows.release import release
from tasks.report import written

if TYPE_CHECKING:
    from conftest import World

ADD = "-- interlock: phase=expand\nalter table orders add note text;"


def go(ref: str) -> str:
    return release.fn("shop", ref, "production", "dora", "a test")


def traffic(route: Route, candidate: str, second: int, *, failing: float = 0.0, requests: int = 400) -> Tick:
    own = round(requests * route.share(candidate) / 10_000)
    arms = (("candidate", own, round(own * failing)), ("stable", requests - own, 0))
    cells = [Cell.model_validate({"arm": arm, "replica": arm, "requests": n, "bad": x}) for arm, n, x in arms if n]
    return Tick(second=second, cells=tuple(cells))


@pytest.fixture
def opened(world: "World", monkeypatch: pytest.MonkeyPatch) -> "World":
    """A shop with visitors whose v1.0.0 serves, and a v1.1.0 to release."""
    go("v1.0.0")
    world.source.commit("feat: notes", {"db/0002_note.up.sql": ADD, "app.py": "notes"}, tag="v1.1.0")
    world.router.traffic = traffic
    monkeypatch.setattr("tasks.step.PAUSES", ())
    return world


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was put on the run's page, one (sentence, text) after the other."""
    shown: list[tuple[str, str]] = []
    show_on(monkeypatch, lambda sentence, text: shown.append((sentence, text)))
    return shown


def show_on(monkeypatch: pytest.MonkeyPatch, put: chart.Put) -> None:
    monkeypatch.setattr("flows.release.charted", partial(chart.charted, put=put))
    monkeypatch.setattr(chart, "EVERY", 0.01)


def reports(world: "World") -> list[str]:
    return [key for key in world.store.keys("evidence/") if "/judge-" in key]


def phases(world: "World") -> list[str]:
    entries = world.desk.journal.entries(release=world.release("v1.1.0"), environment="production")
    told = [getattr(e.fact, "phase", "") or getattr(e.fact, "verb", "") for e in entries]
    return [one for one in told if one]


def test_the_page_ends_with_the_verdict_its_picture_and_its_numbers(
    opened: "World", page: list[tuple[str, str]]
) -> None:
    go("v1.1.0")
    sentence, text = page[-1]
    assert sentence.startswith("v1.1.0 fails 0 % of requests, v1.0.0 0 %: it has all traffic, after ")
    assert text.startswith("![The judge's chart](data:image/svg+xml;base64,")
    assert "### Evidence" in text
    assert text.count("| promote |") == 3


@pytest.mark.parametrize("failing", [0.0, 0.2])
def test_a_prefect_that_hangs_or_fails_changes_nothing(
    opened: "World", monkeypatch: pytest.MonkeyPatch, failing: float
) -> None:
    opened.router.traffic = partial(traffic, failing=failing)
    asked, never = Event(), Event()

    def hang(_sentence: str, _text: str) -> None:
        asked.set()
        never.wait()

    show_on(monkeypatch, hang)
    monkeypatch.setattr(chart, "LAST", 0.0)
    if failing:
        with pytest.raises(Rejected, match="rolls back at 10 %"):
            go("v1.1.0")
    else:
        go("v1.1.0")
    assert asked.wait(10)
    never.set()
    assert opened.phase("v1.1.0") == ("rolled back" if failing else "released")
    assert opened.serving("production")[0] == ("1.0.0" if failing else "1.1.0")


def test_users_do_not_wait_for_the_last_picture_of_a_version_that_is_sent_back(
    opened: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.router.traffic = partial(traffic, failing=0.2)
    back, apply, in_time = Event(), opened.router.apply, list[bool]()

    def watched(route: Route, token: int) -> None:
        before = opened.router.observe(route.name)
        apply(route, token)
        if before and before.share("green") and not route.share("green"):
            back.set()

    monkeypatch.setattr(opened.router, "apply", watched)
    show_on(monkeypatch, lambda sentence, _: in_time.append("sent back" not in sentence or back.wait(20)))
    monkeypatch.setattr(chart, "LAST", 60.0)
    with pytest.raises(Rejected):
        go("v1.1.0")
    assert back.is_set()
    assert all(in_time)


def test_a_page_that_cannot_be_written_is_tried_again_and_stops_nothing(
    opened: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fail(sentence: str, _text: str) -> None:
        asked.append(sentence)
        raise ConnectionError("no Prefect")

    show_on(monkeypatch, fail)
    go("v1.1.0")
    assert opened.phase("v1.1.0") == "released"
    assert asked


@pytest.fixture(params=[0.0, 0.2], ids=["promoted", "sent back"])
def ended(opened: "World", request: pytest.FixtureRequest) -> Iterator["World"]:
    """A release whose ramp is over, one way or the other."""
    opened.router.traffic = partial(traffic, failing=request.param)
    if request.param:
        with pytest.raises(Rejected):
            go("v1.1.0")
    else:
        go("v1.1.0")
    return opened


def test_the_report_is_in_the_store_and_the_journal_alone_gives_it_again(ended: "World") -> None:
    [key] = reports(ended)
    name = ended.release("v1.1.0")
    plan = plan_of(ended.desk.journal.entries(release=name))
    assert plan
    with ended.store.open(key) as kept:
        assert kept.read().decode() == written(ended.desk.journal, name, plan)
    told = [line for *_, line in story(ended.desk.journal.entries(release=name))]
    assert f"report: the judge's chart and numbers are in {key}" in told


def test_users_do_not_wait_for_the_report_of_a_rollback(opened: "World") -> None:
    opened.router.traffic = partial(traffic, failing=0.2)
    with pytest.raises(Rejected):
        go("v1.1.0")
    assert phases(opened).index("rolled back") < phases(opened).index("report")


def test_a_hold_leaves_its_report(opened: "World") -> None:
    opened.router.traffic = partial(traffic, requests=0)
    with pytest.raises(Rejected, match="holds and nobody is declared"):
        go("v1.1.0")
    [key] = reports(opened)
    with opened.store.open(key) as kept:
        assert "v1.1.0 is held at 10 % after 1 min: no request has reached v1.1.0 yet" in kept.read().decode()


@pytest.mark.parametrize("failing", [0.0, 0.2])
@pytest.mark.parametrize("error", [Unavailable("the store is full"), RuntimeError("a bug")])
def test_without_a_report_a_release_ends_as_it_would(
    opened: "World", monkeypatch: pytest.MonkeyPatch, failing: float, error: Exception
) -> None:
    put = opened.store.put

    def broken(key: str, chunks: list[bytes]) -> str:
        if "/judge-" in key:
            raise error
        return put(key, chunks)

    monkeypatch.setattr(opened.store, "put", broken)
    opened.router.traffic = partial(traffic, failing=failing)
    if failing:
        with pytest.raises(Rejected):
            go("v1.1.0")
    else:
        go("v1.1.0")
    entries = opened.desk.journal.entries(release=opened.release("v1.1.0"))
    assert [e.fact.phase for e in entries if isinstance(e.fact, Entered)][-1] == (
        "rolled back" if failing else "released"
    )
    assert not [e for e in entries if e.fact.kind == "failed"]
    assert not [e for e in entries if isinstance(e.fact, Done) and e.fact.verb == "report"]


@pytest.mark.real
def test_one_artifact_of_the_run_is_changed_in_place(prefect_harness: None) -> None:
    @flow
    def watched() -> str:
        run = str(flow_run.get_id())
        first = chart.Artifact("judge-production-r1", UUID(run))
        first("one", "![](data:image/svg+xml;base64,AAAA)")
        first("two", "second")
        chart.Artifact("judge-production-r1", UUID(run))("three", "of another process")
        return run

    run = UUID(watched())
    own = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    with get_client(sync_client=True) as client:
        [shown] = client.read_artifacts(artifact_filter=own)
    assert (shown.key, shown.description, shown.data) == ("judge-production-r1", "three", "of another process")


@pytest.mark.real
def test_a_release_shows_its_judge_on_the_page_of_its_run(
    opened: "World", prefect_harness: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart, "EVERY", 0.2)
    release("shop", "v1.1.0", "production", "dora", "a test")
    with get_client(sync_client=True) as client:
        shown = [one for one in client.read_artifacts() if (one.key or "").startswith("judge-production-shop-v1-1-0")]
    assert [one.description for one in shown] == [
        "v1.1.0 fails 0 % of requests, v1.0.0 0 %: it has all traffic, after 29 s"
    ]
    assert shown[0].flow_run_id
