import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import yaml
from typer.testing import Result

from config.schema import FILES

if TYPE_CHECKING:
    from conftest import Scene

Run = Callable[..., Result]


def test_a_sound_configuration_is_summed_up(scene: "Scene", run: Run) -> None:
    shown = run("config", "check")
    assert shown.exit_code == 0, shown.stderr
    assert f"settings      {scene.folder}/settings.yaml" in shown.stdout
    assert "people        ada, dev, eve, grace, linus" in shown.stdout
    assert shown.stdout.endswith("nothing is wrong\n")
    assert json.loads(run("config", "check", "--json").stdout)["services"] == ["shop"]


def test_people_without_a_key_are_named(scene: "Scene", run: Run) -> None:
    scene.edit("people.yaml", lambda it: it["people"][3].update(keys=[]))
    assert "without a key, so they cannot approve: dev" in run("config", "check").stdout


@pytest.mark.parametrize("words", [("config", "check"), ("status",), ("plan", "shop"), ("env",)])
def test_all_that_is_wrong_is_said_at_once(scene: "Scene", run: Run, words: tuple[str, ...]) -> None:
    scene.edit("services/shop.yaml", lambda it: it.update(ownr="x", runtime={"port": 0}))
    (scene.folder / "config" / "people.yaml").write_text("people: [\n")
    shown = run(*words)
    assert shown.exit_code == 2
    assert "services/shop.yaml: ownr: unknown key; did you mean 'owner'?" in shown.stderr
    assert "services/shop.yaml: runtime.port: " in shown.stderr
    assert "people.yaml: line 2, column 1: " in shown.stderr
    assert "Traceback" not in shown.output


def test_missing_settings_are_invalid(scene: "Scene", run: Run) -> None:
    shown = run("config", "check", env={"INTERLOCK_SETTINGS": "/nowhere/settings.yaml"})
    assert (shown.exit_code, shown.stderr.startswith("error: no settings file: /nowhere/settings.yaml")) == (2, True)


def test_the_option_chooses_the_settings_file(scene: "Scene", run: Run) -> None:
    (scene.folder / "other.yaml").write_text((scene.folder / "settings.yaml").read_text())
    shown = run("--settings", str(scene.folder / "other.yaml"), "config", "check", env={"INTERLOCK_SETTINGS": "/no"})
    assert f"{scene.folder}/other.yaml" in shown.stdout


def test_effective_values_are_shown_with_secrets_as_references(scene: "Scene", run: Run) -> None:
    shown = run("config", "show", "shop", "production")
    assert shown.exit_code == 0, shown.stderr
    values = yaml.safe_load(shown.stdout)
    assert values["variables"]["GREETING"] == "Welcome aboard"
    assert values["variables"]["EXTERNAL_APIS"] == "live"
    assert values["variables"]["DATABASE_URL"].startswith("secret://")
    assert (values["environment"]["replicas"], values["service"]["runtime"]["drain"]) == (2, 10.0)
    assert json.loads(run("config", "show", "shop", "production", "--json").stdout) == values


def test_a_service_is_only_shown_where_it_runs(scene: "Scene", run: Run) -> None:
    (scene.folder / "config" / "environments" / "moon.yaml").write_text("name: moon\n")
    shown = run("config", "show", "shop", "moon")
    assert shown.exit_code == 2
    assert "services/shop.yaml: environments.moon: missing\n→ shop runs in: dev, production, staging" in shown.stderr


def test_schemas_are_printed_or_written(scene: "Scene", run: Run) -> None:
    assert json.loads(run("config", "schema").stdout).keys() == FILES.keys()
    run("config", "schema", "--folder", str(scene.folder / "schemas"))
    written = {path.name for path in (scene.folder / "schemas").iterdir()}
    assert written == {f"{name}.schema.json" for name in FILES}


@pytest.mark.parametrize("word", ["env", "environments"])
def test_the_profile_matrix_stands_side_by_side(run: Run, word: str) -> None:
    lines = run(word).stdout.splitlines()
    assert lines[0].split() == ["dev", "staging", "production"]
    assert next(line.split()[:8] for line in lines if line.startswith("rollout")) == [
        "rollout",
        "rolling",
        "100",
        "%",
        "blue-green",
        "100",
        "%",
        "canary",
    ]
    assert [it["name"] for it in json.loads(run(word, "--json").stdout)] == ["dev", "staging", "production"]
