import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

if TYPE_CHECKING:
    from conftest import Scene

Run = Callable[..., Result]


def test_a_plan_shows_every_environment_its_policies_and_its_hash(scene: "Scene", run: Run) -> None:
    shown = run("plan", "shop", "--ref", "v1.0.0", "--requester", "dev", "--reason", "the first")
    assert shown.exit_code == 0, shown.stderr
    for wanted in ("shop 1.0.0", "asked for by dev: the first", "dev ─", "staging ─", "production ─", "allow"):
        assert wanted in shown.stdout
    assert "tech-lead + (product-owner or sre)" in shown.stdout
    assert "rolls back by itself above 1.25 × the stable error rate and above 0.50%" in shown.stdout
    assert "≥ 0.995" in shown.stdout
    assert scene.house.journal.entries() == ()


def test_only_what_changes_is_marked(scene: "Scene", run: Run) -> None:
    scene.carry("v1.0.0")
    scene.edit("services/shop.yaml", lambda shop: shop["environments"]["production"]["config"].update(GREETING="Hi"))
    shown = run("plan", "shop", "--ref", "v1.1.0", "--requester", "dev").stdout.splitlines()
    marked = {line.split()[1] for line in shown if line.startswith("●")}
    assert marked == {"version", "artifact", "config", "traffic"}
    assert any(line.startswith("●  config GREETING  Welcome aboard → Hi") for line in shown)
    assert any(line.startswith("   replicas") for line in shown)
    assert "  - feat: number 1" in shown
    assert "  - feat: number 0" not in shown


def test_the_json_is_the_plan_and_its_hash(scene: "Scene", run: Run) -> None:
    shown = json.loads(run("plan", "shop", "--ref", "v1.0.0", "--to", "dev", "--requester", "dev", "--json").stdout)
    assert (shown["plan"]["version"], [stage["environment"] for stage in shown["plan"]["stages"]]) == ("1.0.0", ["dev"])
    release = scene.begin("v1.0.0")
    assert shown["hash"] != scene.plans[release].hash  # another request, another plan


def test_a_denied_plan_is_printed_and_exits_3(scene: "Scene", run: Run) -> None:
    scene.edit("services/shop.yaml", lambda shop: shop["environments"]["dev"]["config"].update(API_TOKEN="hunter2"))
    shown = run("plan", "shop", "--ref", "v1.0.0", "--requester", "dev")
    assert shown.exit_code == 3
    assert "deny" in shown.stdout
    assert "error: the plan is refused\nsecrets-are-references: dev: API_TOKEN holds its value in clear" in shown.stderr


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (("shopp",), "service 'shopp' does not exist", "did you mean 'shop'? known: shop"),
        (("shop", "--ref", "v9"), "v9", ""),
        (("shop", "--to", "prod"), "environment 'prod' does not exist", "known environments: dev, production, staging"),
        (("shop", "--requester", "mallory"), "'mallory' is not in people.yaml", "known: ada, dev, eve, grace, linus"),
    ],
)
def test_what_is_unknown_is_said_with_what_is_known(run: Run, words: tuple[str, ...], says: str, hint: str) -> None:
    shown = run("plan", *words, *(() if "--requester" in words else ("--requester", "dev")))
    assert shown.exit_code == 2
    assert shown.stderr.startswith("error: ")
    assert says in shown.stderr
    assert f"→ {hint}" in shown.stderr
    assert "Traceback" not in shown.output


def test_the_requester_is_whom_git_or_the_environment_names(scene: "Scene", run: Run) -> None:
    nobody = run("plan", "shop")
    assert nobody.exit_code == 2
    assert "error: people.yaml does not know your git identity\n→ give your name, or set INTERLOCK_ME" in nobody.stderr
    assert "asked for by grace" in run("plan", "shop", env={"INTERLOCK_ME": "grace"}).stdout
    (scene.folder / "gitconfig").write_text("[user]\n  email = linus@example.com\n")
    assert (
        "asked for by linus" in run("plan", "shop", env={"GIT_CONFIG_GLOBAL": str(scene.folder / "gitconfig")}).stdout
    )


def test_a_service_without_criteria_is_refused(scene: "Scene", run: Run) -> None:
    scene.edit("services/shop.yaml", lambda shop: shop.pop("criteria"))
    shown = run("plan", "shop", "--requester", "dev")
    assert shown.exit_code == 3
    assert "services/shop.yaml: criteria: missing" in shown.stderr


def test_a_commit_cannot_repaint_the_screen_of_who_reads_its_plan(scene: "Scene", run: Run) -> None:
    scene.edit("services/shop.yaml", lambda shop: shop["environments"]["dev"]["config"].update(NOTE="a\x1b[2Kb\u202e"))
    shown = run("plan", "shop", "--ref", "v1.0.0", "--requester", "dev").stdout
    assert "a�[2Kb�" in shown
    assert "\x1b[2K" not in shown
