import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from typer.testing import Result

from domain.canary.tick import Cell, Tick
from domain.facts import Looked

if TYPE_CHECKING:
    from conftest import Scene

Run = Callable[..., Result]


def last_two(shown: Result) -> list[str]:
    assert shown.exit_code == 0, shown.stderr
    return shown.stdout.splitlines()[-2:]


def test_a_release_is_told_line_by_line(scene: "Scene", run: Run) -> None:
    release = scene.carry("v1.0.0")
    shown = run("explain", release)
    said = [line[15:].split(maxsplit=2) for line in shown.stdout.splitlines()]
    assert ["·", "dev", "dev asked for v1.0.0 in dev → staging → production because a reason"] in said
    assert ["production", "dev", "1.0.0 serves from slot blue (release)"] in said
    assert last_two(shown) == ["shop 1.0.0 is released", "next: interlock status shop"]


def test_the_end_says_where_it_is_and_what_to_type_next(scene: "Scene", run: Run) -> None:
    first = scene.carry("v1.0.0")
    release = scene.begin("v1.1.0")
    assert last_two(run("explain", release)) == ["shop 1.1.0 is under way: built", "next: interlock status shop"]
    scene.ask(release)
    assert last_two(run("explain", release)) == [
        "shop 1.1.0 waits for people to answer: release in production?",
        f"next: interlock approve {release}",
    ]
    scene.enter(release, "approved", "deploying", environment="production")
    scene.take_back(release, to=first)
    assert last_two(run("explain", release)) == [
        "shop 1.1.0 is out of production again: customers complain",
        "next: interlock plan shop --ref …",
    ]


def test_what_is_stuck_or_aborted_says_why(scene: "Scene", run: Run) -> None:
    stuck, aborted = scene.begin("v1.0.0"), scene.begin("v1.1.0")
    scene.deploy(stuck, "dev")
    scene.enter(stuck, "rolling back", "stuck", environment="dev", reason="no answer")
    assert last_two(run("explain", stuck)) == [
        "shop 1.0.0 is stuck on its way back in dev: no answer",
        "next: interlock rollback shop dev --reason …",
    ]
    scene.enter(aborted, "aborted", reason="the build failed")
    assert "shop 1.1.0 was aborted before anything changed: the build failed" in run("explain", aborted).stdout


def test_looks_are_told_when_they_are_asked_for(scene: "Scene", run: Run) -> None:
    release = scene.begin("v1.0.0")
    cells = (
        Cell(arm="stable", replica="a", requests=90, bad=1),
        Cell(arm="candidate", replica="b", requests=10, bad=2),
    )
    scene.write(Looked(share=1000, next_share=5000, tick=Tick(second=1, cells=cells)), release, "production")
    look = "look at 10 %: stable 1 of 90 failed, candidate 2 of 10 failed"
    assert look not in run("explain", release).stdout
    assert look in run("explain", release, "--looks").stdout


def test_the_json_has_the_same_story(scene: "Scene", run: Run) -> None:
    release = scene.carry("v1.0.0")
    shown = json.loads(run("explain", release, "--json").stdout)
    assert shown["outcome"] == "shop 1.0.0 is released"
    assert shown["next"] == "interlock status shop"
    assert shown["release"]["phase"] == "released"
    assert shown["story"][0]["says"].startswith("dev asked for v1.0.0")


def test_an_unknown_release_is_invalid_and_near_names_are_offered(scene: "Scene", run: Run) -> None:
    release = scene.begin("v1.0.0")
    near = run("explain", "shop-v1.0.1-abc123")
    assert near.exit_code == 2
    assert near.stderr == f"error: release 'shop-v1.0.1-abc123' is not in the journal\n→ did you mean {release}?\n"
    assert "→ `interlock status` lists releases" in run("explain", "nothing-like-it").stderr
    scene.house.leases.take("shop", "dev", "rollback of x by ada", "why", 60)  # the owner of a lease is no release
    assert run("explain", "rollback of x by ada").exit_code == 2
