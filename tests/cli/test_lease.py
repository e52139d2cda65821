import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

from domain.errors import Conflict

if TYPE_CHECKING:
    from conftest import Scene

Run = Callable[..., Result]
WORDS = ("lease", "take-over", "shop", "dev", "--reason", "its run was killed", "--as", "ada")


def test_leases_are_listed(scene: "Scene", run: Run) -> None:
    assert "every environment is free" in run("lease", "list").stdout
    scene.house.leases.take("shop", "dev", "shop-v1-abc", "releasing 1.0.0", 60)
    assert "shop · dev  shop-v1-abc  releasing 1.0.0" in run("lease", "list").stdout
    [lease] = json.loads(run("lease", "list", "--json").stdout)
    assert (lease["owner"], lease["token"]) == ("shop-v1-abc", 1)


def test_a_dead_lease_is_freed_and_recorded(scene: "Scene", run: Run) -> None:
    dead = scene.house.leases.take("shop", "dev", "shop-v1-abc", "releasing 1.0.0", 0)
    shown = run(*WORDS)
    assert shown.exit_code == 0, shown.stderr
    assert "shop in dev is free: ada took over from shop-v1-abc, token 2" in shown.stdout
    assert scene.house.leases.holder("shop", "dev") is None
    with pytest.raises(Conflict):
        scene.house.leases.check(dead)
    facts = [(entry.actor, entry.fact.kind) for entry in scene.house.journal.entries(environment="dev", after=1)]
    assert facts == [("ada", "lease taken"), ("ada", "lease returned")]


def test_a_live_lease_is_only_taken_over_by_a_yes(scene: "Scene", run: Run) -> None:
    scene.house.leases.take("shop", "dev", "shop-v1-abc", "releasing 1.0.0", 60)
    assert run(*WORDS, input="n\n").exit_code == 1
    assert scene.house.leases.holder("shop", "dev") is not None
    assert run(*WORDS, "--yes").exit_code == 0
    assert scene.house.leases.holder("shop", "dev") is None


def test_a_free_environment_is_left_alone(scene: "Scene", run: Run) -> None:
    assert run(*WORDS).stdout == "shop in dev is free; nothing to do\n"
    assert scene.house.journal.entries() == ()
    assert run("lease", "take-over", "shop", "moon", "--reason", "x", "--as", "ada").exit_code == 2
    assert run("lease", "take-over", "shop", "dev", "--reason", "x", "--as", "mallory").exit_code == 2
