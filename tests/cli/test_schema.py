import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from config.settings import HOUSE

Run = Callable[..., Result]
Write = Callable[[dict[str, str]], Path]
VERSIONS = HOUSE / "examples" / "shop" / "versions"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    folder = tmp_path / "migrations"
    folder.mkdir()

    def write(scripts: dict[str, str]) -> Path:
        for name, text in scripts.items():
            (folder / f"{name}.sql").write_text(text)
        return folder

    return write


def test_sound_migrations_are_listed_with_what_they_do(run: Run) -> None:
    shown = run("schema", "lint", str(VERSIONS / "v1.0.0" / "db" / "migrations"))
    assert shown.exit_code == 0, shown.stderr
    assert "0001_create_shop (expand)" in shown.stdout
    assert "create table products: expand" in shown.stdout
    assert "1 migrations, nothing to refuse" in shown.stdout


def test_what_hurts_users_is_refused_with_what_to_write_instead(run: Run, write: Write) -> None:
    folder = write({"0001_x.up": "create index i on orders (note)", "0001_x.down": "drop index i"})
    shown = run("schema", "lint", str(folder))
    assert shown.exit_code == 3
    assert "create index i on orders: expand; SHARE on orders; takes longer the more rows there are" in shown.stdout
    assert "error index-blocks-writes\n  0001_x.up.sql:1: create index i on orders\n" in shown.stdout
    assert "→ create index concurrently" in shown.stdout
    assert "error: 1 unanswered in 1 migrations\n0001_x.up.sql:1: index-blocks-writes\n" in shown.stderr


def test_a_release_is_what_lies_above_what_was_applied(run: Run, write: Write) -> None:
    contract = "-- interlock: phase=contract\n-- interlock: allow=lossy reason='-'\ndrop table b".replace("'", '"')
    scripts = {"0001_x.up": "create table a ()", "0002_y.up": "create table b ()", "0003_z.up": contract}
    folder = write(scripts | {"0003_z.down": "create table b ()"})
    assert run("schema", "lint", str(folder)).exit_code == 0
    both = run("schema", "lint", str(folder), "--after", "1")
    assert both.exit_code == 3
    assert "one-schema-phase: 0002_y expands and 0003_z contracts in one release" in both.stderr
    assert run("schema", "lint", str(folder), "--after", "2").exit_code == 0


def test_the_json_holds_changes_findings_and_rules(run: Run, write: Write) -> None:
    shown = run("schema", "lint", str(write({"0001_x.up": "drop table orders"})), "--json")
    assert shown.exit_code == 3
    told = json.loads(shown.stdout)
    [one] = told["migrations"]
    assert (told["refused"], told["torn"]) == (True, None)
    assert one["changes"][0]["locks"] == [{"relation": "orders", "mode": "ACCESS EXCLUSIVE"}]
    assert (
        {found["rule"] for found in one["findings"]} == told["rules"].keys() == {"expand-stays", "lossy", "wrong-phase"}
    )


def test_consumers_in_a_file_are_asked_for(run: Run, write: Write) -> None:
    folder = write({"0001_x.up": "alter table orders rename note to zz_dropped_note"})
    file = folder / ".consumers.yaml"
    file.write_text("consumers: [{name: report, owner: finance, reads: {orders: [note]}}]")
    assert "0001_x.up.sql:1: consumer" in run("schema", "lint", str(folder), "--consumers", str(file)).stderr
    file.write_text("consumers: [{name: report, reads: {}}]")
    wrong = run("schema", "lint", str(folder), "--consumers", str(file))
    assert wrong.exit_code == 2
    assert "consumers.0.owner: missing" in wrong.stderr


@pytest.mark.parametrize(
    ("scripts", "says"),
    [
        ({"0001_x.up": "-- interlock: phase=later"}, "0001_x.up.sql:1: phase=later must be expand"),
        ({"0002_x.up": "select 1"}, "0001: missing"),
        ({"notes": "hello"}, "notes.sql: not a migration"),
    ],
)
def test_a_malformed_folder_exits_2(run: Run, write: Write, scripts: dict[str, str], says: str) -> None:
    shown = run("schema", "lint", str(write(scripts)))
    assert shown.exit_code == 2
    assert says in shown.stderr


def test_a_folder_that_is_not_there_exits_2(run: Run, tmp_path: Path) -> None:
    assert run("schema", "lint", str(tmp_path / "nowhere")).exit_code == 2
