"""What people see when a run is killed, cancelled or has to wait: the release goes on, goes back, stands in line."""

import json
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from domain.facts import Recovered

if TYPE_CHECKING:
    from conftest import Shop

pytestmark = pytest.mark.real


def tag(shop: "Shop", name: str) -> str:
    """Tag a commit that changes nothing but its own history."""
    repository = shop.house.settings.sources / "shop"
    shop.git("commit", "--quiet", "--allow-empty", "--message", f"fix: {name}", folder=repository)
    shop.git("tag", name, folder=repository)
    return name


def ask(shop: "Shop", method: str, path: str, body: Any = None) -> Any:
    url = f"{shop.house.settings.prefect.api}{path}"
    return httpx.request(method, url, json=body, timeout=30, trust_env=False).raise_for_status().json()


def recovered(shop: "Shop", release: str) -> list[Recovered]:
    entries = shop.house.journal.entries(release=release, kinds=("recovered",))
    return [entry.fact for entry in entries if isinstance(entry.fact, Recovered)]


def until_intended(shop: "Shop", release: str, verb: str) -> None:
    end = time.monotonic() + 120
    while not any(e.fact.verb == verb for e in shop.house.journal.entries(release=release, kinds=("intended",))):  # type: ignore[union-attr]  # by kind
        assert time.monotonic() < end, f"{release} never came to {verb}"
        time.sleep(0.02)


def test_a_release_whose_process_is_killed_goes_on_and_the_pages_say_so(shop: "Shop") -> None:
    shop.fault.write_text(json.dumps({"when": "after", "fact": "intended", "name": "deploy", "environment": "dev"}))
    release = shop.start(tag(shop, "v5.0.1"), to="dev")
    assert shop.until(release, "released", "aborted", "rolled back", "stuck") == "released"
    [decision] = recovered(shop, release)
    assert (decision.fate, decision.action) == ("died", "go on")
    wanted = {"flow_run_id": {"any_": [decision.lost]}, "key": {"any_": ["taken-over"]}}
    [word] = ask(shop, "POST", "/artifacts/filter", {"artifacts": wanted})
    assert "no traffic has reached the candidate yet" in word["data"]
    assert ask(shop, "GET", f"/flow_runs/{decision.lost}")["state_type"] == "CRASHED"
    told = shop.interlock("explain", release, "--brief")
    assert len(told.strip().splitlines()) <= 14
    assert "go on – no traffic has reached the candidate yet" in told
    assert len(shop.desk.ports.workload.running("shop", "dev")) == shop.desk.environments["dev"].replicas


def test_a_cancelled_release_is_taken_back_and_asks_why(shop: "Shop") -> None:
    before = shop.served("dev")
    release = shop.start(tag(shop, "v5.0.2"), to="dev")
    until_intended(shop, release, "deploy")
    run = shop.house.journal.entries(release=release, kinds=("opened",))[0].fact.run  # type: ignore[union-attr]  # by kind
    ask(shop, "POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    assert shop.until(release, "released", "aborted", "rolled back", "stuck") == "rolled back"
    assert shop.served("dev") == before
    assert "interlock remark" in shop.interlock("explain", release)
    shop.interlock("remark", release, "the wrong tag", "--as", "dev")
    assert "“the wrong tag”" in shop.interlock("explain", release, "--brief")


def test_releases_started_together_stand_in_line_and_all_arrive(shop: "Shop") -> None:
    tags = [tag(shop, f"v5.1.{number}") for number in range(3)]
    releases = [shop.start(name, to="dev") for name in tags]
    assert [shop.until(release, "released", "aborted", "rolled back", "stuck") for release in releases] == [
        "released"
    ] * 3
    taken = [
        e
        for e in shop.house.journal.entries(environment="dev", kinds=("lease taken", "lease returned"))
        if e.release in releases
    ]
    holders = [(e.release, e.fact.kind) for e in taken]
    for (first, kind), (second, following) in pairwise(holders):
        assert first == second or (kind, following) == ("lease returned", "lease taken")
