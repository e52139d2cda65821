import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

from adapters.memory.notices import MemoryNotices
from adapters.memory.router import MemoryRouter
from adapters.memory.workload import MemoryWorkload
from cli import world
from domain.release import standing
from domain.release.route import Route
from tests.cli.test_drill import PROVEN

if TYPE_CHECKING:
    from conftest import Scene

Run = Callable[..., Result]


def test_an_empty_house_says_so(run: Run) -> None:
    shown = run("status")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.count("nothing was released here") == 3
    assert "under way: nothing" in shown.stdout
    assert "leases: none, every environment is free" in shown.stdout


def test_it_tells_what_serves_since_when_and_by_which_release(scene: "Scene", run: Run) -> None:
    first = scene.carry("v1.0.0")
    second = scene.carry("v1.1.0")
    shown = json.loads(run("status", "shop", "--json").stdout)
    served = [(it["environment"], it["version"], it["slot"], it["share"], it["release"]) for it in shown["serving"]]
    assert served == [(name, "1.1.0", "green", 100.0, second) for name in ("dev", "staging", "production")]
    assert all(it["since"].startswith("20") for it in shown["serving"])
    scene.take_back(second, to=first)
    words = run("status").stdout
    [line] = [line for line in words.splitlines() if line.startswith("shop · production")]
    assert f"rollback to {first}" in line
    assert " 1.0.0 " in line


def test_it_tells_when_the_way_back_of_a_schema_was_walked_last(scene: "Scene", run: Run) -> None:
    scene.carry("v1.0.0")
    release = scene.carry("v1.1.0")
    assert json.loads(run("status", "--json").stdout)["serving"][2]["walked"] == ""
    scene.done("prove", PROVEN, release, "production")
    scene.done("drill", PROVEN, "shop-production-drill-1", "production")
    seen = json.loads(run("status", "--json").stdout)["serving"]
    last = scene.house.journal.entries(release="shop-production-drill-1")[-1].at
    assert [it["walked"] for it in seen] == ["", "", last]
    assert "interlock drill" not in run("status").stdout
    shop = "services/shop.yaml"
    scene.edit(shop, lambda told: told.update(schema={"drill_expires": 0.001}))
    assert "way back of shop in production was walked last 20" in run("status").stdout.replace("\n", " ")


def test_a_release_under_way_names_who_must_act(scene: "Scene", run: Run) -> None:
    release = scene.begin("v1.0.0")
    scene.ask(release)
    shown = run("status")
    assert f"{release}  1.0.0  awaiting approval · production  since 20" in shown.stdout
    assert "  → release? tech-lead (ada) + product-owner or sre (grace, linus)" in shown.stdout
    stuck = scene.begin("v1.1.0")
    scene.deploy(stuck, "dev", share=1000)
    scene.enter(stuck, "rolling back", "stuck", environment="dev", reason="the router does not answer")
    going = scene.begin("v1.2.0")
    under_way = {it["release"]: it["next"] for it in json.loads(run("status", "--json").stdout)["under_way"]}
    assert under_way[stuck] == "interlock rollback shop dev"
    assert under_way[going] == "its run goes on"


def test_a_canary_takes_its_share_from_what_serves(scene: "Scene", run: Run) -> None:
    scene.carry("v1.0.0")
    scene.deploy(scene.begin("v1.1.0"), "dev", share=1000)
    assert "blue 90 %" in run("status").stdout


def test_leases_and_messages_that_were_given_up_are_shown(scene: "Scene", run: Run) -> None:
    scene.house.leases.take("shop", "dev", "shop-v1-abc", "releasing 1.0.0", 60)
    scene.house.post.enqueue("key", "dev", "a title", "a body")
    scene.house.post.deliver(MemoryNotices(groups=()), 0.0)
    shown = run("status").stdout
    assert "shop · dev  shop-v1-abc  releasing 1.0.0" in shown
    assert "1 messages were given up: `interlock notices` shows them" in shown


def test_an_unknown_service_is_invalid(run: Run) -> None:
    shown = run("status", "shpo")
    assert shown.exit_code == 2
    assert "error: service 'shpo' does not exist\n→ did you mean 'shop'?" in shown.stderr


def test_a_world_that_does_not_answer_is_a_difference_and_no_failure(scene: "Scene", run: Run) -> None:
    scene.carry("v1.0.0")
    shown = run("status", "shop", "--world")
    assert shown.exit_code == 0, shown.stderr
    assert "● shop · dev: engine: " in shown.stdout
    assert json.loads(run("status", "shop", "--world", "--json").stdout)["world"][0]["replicas"] == "?"


@pytest.fixture
def told(scene: "Scene") -> tuple[standing.Standing, Route]:
    scene.carry("v1.0.0")
    stands = standing.fold(scene.house.journal.entries(service="shop", environment="dev"))
    assert stands.route
    return stands, stands.route


def test_router_and_journal_are_compared(told: tuple[standing.Standing, Route]) -> None:
    stands, route = told
    router = MemoryRouter()
    assert world.traffic(stands, route.name, router) == ("no route", ["router: does not know shop-dev"])
    router.apply(route, token=1)
    assert world.traffic(stands, route.name, router) == ("blue 100 %", [])
    router.apply(
        route.giving("green", 4000).holding("green", (route.blue[0],)).holding("blue", (route.blue[1],)), token=1
    )
    said, differences = world.traffic(stands, route.name, router)
    assert said == "blue 60 %"
    assert differences == [
        "router: green has 40 %, the journal says 0 %",
        "router: 1.0.0-1 is missing in slot blue",
        "router: 1.0.0-1 is in slot green, against the journal",
    ]
    router.dead = True
    assert world.traffic(stands, route.name, router)[0] == "?"
    router.dead = False
    assert world.traffic(standing.Standing(), route.name, router)[1] == [
        "router: has a route shop-dev that the journal does not know"
    ]


def test_engine_and_journal_are_compared(told: tuple[standing.Standing, Route]) -> None:
    stands, _ = told
    said, differences = world.replicas(stands, "shop", "dev", MemoryWorkload())
    assert said == "0 of 2"
    assert differences == ["engine: 1.0.0-1 does not run", "engine: 1.0.0-2 does not run"]
    assert world.replicas(standing.Standing(), "shop", "dev", MemoryWorkload()) == ("0 of 0", [])
