"""One release changes an environment at a time; the others wait in line, are refused, or take an older one's place."""

from typing import TYPE_CHECKING

import pytest
from prefect.exceptions import Pause

from domain.canary.tick import Cell, Tick
from domain.errors import Refused
from domain.release.queue import KINDS, waiting
from domain.release.route import Route, Slot
from flows import dispatch
from flows.release import release
from flows.turn import call_next

if TYPE_CHECKING:
    from conftest import World


def visits(route: Route, candidate: Slot, second: int) -> Tick:
    """Send 400 requests a second, split as the route says; all of them succeed."""
    n = round(400 * route.share(candidate) / 10_000)
    sent = (("candidate", "c", n), ("stable", "s", 400 - n))
    cells = [Cell(arm=arm, replica=replica, requests=count, bad=0) for arm, replica, count in sent if count]
    return Tick(second=second, cells=tuple(cells))


def go(tag: str) -> str:
    return release.fn("shop", tag, "production", "dora", "a test")


@pytest.fixture
def opened(world: "World") -> "World":
    """A shop whose v1.0.0 serves everywhere, with visitors, and a v1.1.0 to release."""
    go("v1.0.0")
    world.source.commit("feat: notes", {"app.py": "notes"}, tag="v1.1.0")
    world.router.traffic = visits  # type: ignore[assignment]  # slots are named by a narrower type here
    return world


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who was suspended to wait for a turn, and whose run was woken or stopped, in order."""
    heard: list[str] = []

    def wait(key: str, timeout: float) -> None:
        heard.append(f"waits {key}")
        raise Pause(f"{key} for {timeout:.0f} s")

    monkeypatch.setattr(dispatch, "wait", wait)
    monkeypatch.setattr(dispatch, "wake", lambda run: heard.append("woken") is None)
    monkeypatch.setattr(dispatch, "stop", lambda run: heard.append("stopped"))
    return heard


def resume(world: "World", tag: str) -> str:
    world.expire_leases()
    return release.fn("shop", tag, "production", "dora", "a test", resume=world.release(tag))


def test_two_releases_never_change_one_environment_at_a_time_the_second_waits(
    opened: "World", calls: list[str]
) -> None:
    lease = opened.desk.leases.take("shop", "dev", "shop-other", "in the middle of it", 60)
    with pytest.raises(Pause):
        go("v1.1.0")
    assert opened.serving("dev")[0] == "1.0.0"
    assert opened.phase("v1.1.0") == "built"
    opened.desk.leases.give_back(lease)
    assert call_next("shop", "dev", opened.desk) == opened.release("v1.1.0")
    assert "1.1.0 is released" in resume(opened, "v1.1.0")
    assert calls == ["waits turn-dev-0", "woken"]


def test_those_who_wait_go_in_the_order_they_came(opened: "World", calls: list[str]) -> None:
    opened.source.commit("fix: a word", {"app.py": "word"}, tag="v1.1.1")
    lease = opened.desk.leases.take("shop", "dev", "shop-other", "in the middle of it", 60)
    for tag in ("v1.1.0", "v1.1.1"):
        with pytest.raises(Pause):
            go(tag)
    opened.desk.leases.give_back(lease)
    with pytest.raises(Pause):
        resume(opened, "v1.1.1")  # woken out of turn: it looks, and waits again
    assert "1.1.0 is released" in resume(opened, "v1.1.0")
    assert calls[-1] == "woken"
    assert "1.1.1 is released" in resume(opened, "v1.1.1")
    assert opened.serving("production")[0] == "1.1.1"
    plans = opened.desk.journal.entries(release=opened.release("v1.1.1"), kinds=("planned",))
    previous = [entry.fact.plan.stage("dev").previous for entry in plans]  # type: ignore[union-attr]  # by kind
    assert [it.deployment.version for it in previous if it] == ["1.0.0", "1.1.0", "1.1.0"][: len(previous)]


def test_a_busy_environment_turns_releases_away_where_that_is_declared(opened: "World", calls: list[str]) -> None:
    busy(opened, "dev", "refuse")
    opened.desk.leases.take("shop", "dev", "shop-other", "in the middle of it", 60)
    with pytest.raises(Refused, match="dev is busy: shop-other"):
        go("v1.1.0")
    assert (opened.phase("v1.1.0"), calls) == ("aborted", [])


def test_a_newer_release_takes_the_place_of_one_that_waits(opened: "World", calls: list[str]) -> None:
    busy(opened, "dev", "supersede")
    opened.desk.leases.take("shop", "dev", "shop-other", "in the middle of it", 60)
    opened.source.commit("fix: a word", {"app.py": "word"}, tag="v1.1.1")
    for tag in ("v1.1.0", "v1.1.1"):
        with pytest.raises(Pause):
            go(tag)
    assert waiting(opened.desk.journal.entries(service="shop", kinds=KINDS), "dev") == (opened.release("v1.1.1"),)
    assert "stopped" in calls


def busy(world: "World", environment: str, answer: str) -> None:
    """Change what an environment answers while somebody holds it."""
    profiles = world.desk.catalog.environments
    profiles[environment] = profiles[environment].model_copy(update={"on_busy": answer})  # type: ignore[index]
