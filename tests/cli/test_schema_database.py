"""From the command line, on any PostgreSQL: prove, migrate, look, take back; each no has its words and exit code."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.adapters.shop import Shop

pytestmark = pytest.mark.real
Run = Callable[..., Result]
FIRST = {"0001_orders.up": "create table orders (id int primary key, note text not null)",
         "0001_orders.down": "drop table orders"}  # fmt: skip
COLOUR = {"0002_colour.up": "alter table orders add column colour text",
          "0002_colour.down": "alter table orders drop column colour"}  # fmt: skip
SMOKE = "select id, note from orders;\ninsert into orders (id, note) values (900, 'smoke')"


@pytest.fixture
def shop(server: str, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop(server)
    monkeypatch.setenv("INTERLOCK_DATABASE", shop.dsn)
    return shop


class Folder:
    """A folder of migrations, and the old version's statements beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path / "migrations"
        self.path.mkdir()
        self.smoke, self.proof = path / "old.sql", path / "proof.json"
        self.smoke.write_text(SMOKE)

    def add(self, scripts: dict[str, str]) -> None:
        for name, text in scripts.items():
            (self.path / f"{name}.sql").write_text(text)

    def __str__(self) -> str:
        return str(self.path)


@pytest.fixture
def folder(tmp_path: Path, run: Run, shop: Shop) -> Folder:
    """The first migration is applied, and an order is there."""
    folder = Folder(tmp_path)
    folder.add(FIRST)
    assert run("schema", "migrate", str(folder)).exit_code == 0
    shop.execute("insert into orders values (1, 'first')")
    return folder


def proven(run: Run, folder: Folder) -> Result:
    return run("schema", "prove", str(folder), "--old-smoke", str(folder.smoke), "--out", str(folder.proof))


def test_an_empty_database_is_asked_for_nothing(run: Run, folder: Folder, shop: Shop) -> None:
    shown = run("schema", "status", str(folder))
    assert shown.exit_code == 0, shown.stderr
    assert "0001_orders" in shown.stdout
    assert "applied" in shown.stdout


def test_a_way_back_is_proven_and_then_the_migration_may_go(run: Run, folder: Folder, shop: Shop) -> None:
    folder.add(COLOUR)
    shown = proven(run, folder)
    assert shown.exit_code == 0, shown.stderr
    assert "ACCESS EXCLUSIVE on orders" in shown.stdout
    assert "the way back of 1 migrations holds" in shown.stdout
    assert shop.scratch_databases() == []
    gone = run("schema", "migrate", str(folder), "--proof", str(folder.proof))
    assert gone.exit_code == 0, gone.stderr
    assert "applied 0002_colour" in gone.stdout


def test_without_a_proof_nothing_is_applied(run: Run, folder: Folder, shop: Shop) -> None:
    folder.add(COLOUR)
    shown = run("schema", "migrate", str(folder))
    assert shown.exit_code == 3
    assert "nobody has walked the way back" in shown.stderr
    assert "--unproven" in shown.stderr
    assert [row.number for row in shop.database.applied()] == [1]
    assert run("schema", "migrate", str(folder), "--unproven").exit_code == 0


def test_a_bad_way_back_is_refused_with_every_reason(run: Run, folder: Folder) -> None:
    rename = '-- interlock: allow=rename reason="a test"\n-- interlock: allow=wrong-phase reason="a test"\n'
    undone = '-- interlock: allow=not-undone reason="a test"\n'
    folder.add({"0002_x.up": f"{rename}alter table orders rename note to remark", "0002_x.down": f"{undone}select 1"})
    shown = proven(run, folder)
    assert shown.exit_code == 1
    assert "the old version fails on the new schema: select id, note from orders" in shown.stderr
    assert "the way back leads to another schema than the one before" in shown.stderr
    later = run("schema", "migrate", str(folder), "--proof", str(folder.proof))
    assert later.exit_code == 3
    assert "the way back does not hold" in later.stderr


def test_a_proof_of_another_script_does_not_count(run: Run, folder: Folder) -> None:
    folder.add(COLOUR)
    assert proven(run, folder).exit_code == 0
    folder.add({"0002_colour.down": "alter table orders drop column if exists colour"})
    shown = run("schema", "migrate", str(folder), "--proof", str(folder.proof))
    assert shown.exit_code == 3
    assert "it was made for another migration" in shown.stderr


def test_a_proof_of_another_schema_does_not_count(run: Run, folder: Folder, shop: Shop) -> None:
    folder.add(COLOUR)
    assert proven(run, folder).exit_code == 0
    shop.execute("create index by_hand on orders (note)")
    shown = run("schema", "migrate", str(folder), "--proof", str(folder.proof))
    assert "it was made for another schema" in shown.stderr


def test_what_the_lint_finds_is_answered_first(run: Run, folder: Folder) -> None:
    folder.add({"0002_x.up": "create index i on orders (note)", "0002_x.down": "drop index i"})
    shown = run("schema", "migrate", str(folder), "--unproven")
    assert shown.exit_code == 3
    assert "0002_x.up.sql:1: index-blocks-writes" in shown.stderr


def test_somebody_must_say_what_runs_now(run: Run, folder: Folder) -> None:
    shown = run("schema", "prove", str(folder))
    assert shown.exit_code == 2
    assert "--old-smoke FILE, or say --nothing-runs" in shown.stderr


def test_what_was_applied_can_be_taken_back(run: Run, folder: Folder, shop: Shop) -> None:
    before = run("schema", "fingerprint").stdout
    folder.add(COLOUR)
    assert run("schema", "migrate", str(folder), "--unproven").exit_code == 0
    assert run("schema", "fingerprint").stdout != before
    shown = run("schema", "rollback", "--to", "1")
    assert shown.exit_code == 0, shown.stderr
    assert "took back 0002_colour" in shown.stdout
    assert run("schema", "fingerprint").stdout == before


def test_what_would_be_thrown_away_is_counted_and_its_number_must_be_typed(
    run: Run, folder: Folder, shop: Shop
) -> None:
    folder.add(COLOUR)
    run("schema", "migrate", str(folder), "--unproven")
    shop.execute("insert into orders values (2, 'second', 'red'), (3, 'third', null)")
    shown = run("schema", "rollback", "--to", "1")
    assert shown.exit_code == 3
    assert "1 values would be thrown away\norders.colour: 1\n" in shown.stderr
    assert "--lose 1" in shown.stderr
    assert run("schema", "rollback", "--to", "1", "--lose", "2").exit_code == 3
    assert run("schema", "rollback", "--to", "1", "--lose", "1").exit_code == 0
    assert shop.execute("select count(*) from orders") == [(3,)]


def test_what_code_throws_away_nobody_can_count(run: Run, folder: Folder) -> None:
    code = '-- interlock: allow=opaque reason="a test"\ndo $$ begin drop table t; end $$'
    folder.add({"0002_x.up": "create table t ()", "0002_x.down": code})
    run("schema", "migrate", str(folder), "--unproven")
    assert run("schema", "rollback", "--to", "1").exit_code == 3
    assert run("schema", "rollback", "--to", "1", "--lose", "opaque").exit_code == 0


def test_what_has_no_way_back_stays(run: Run, folder: Folder) -> None:
    folder.add({"0002_x.up": "create table t ()"})
    run("schema", "migrate", str(folder), "--unproven")
    shown = run("schema", "rollback", "--to", "1")
    assert shown.exit_code == 3
    assert "0002_x: no down script came along" in shown.stderr


def test_a_schema_that_was_changed_by_hand_is_told(run: Run, folder: Folder, shop: Shop) -> None:
    folder.add(COLOUR)
    shop.execute("create index by_hand on orders (note)")
    shown = run("schema", "status", str(folder))
    assert shown.exit_code == 1
    assert "the schema is not the one that 0001_orders left" in shown.stderr
    told = json.loads(run("schema", "status", str(folder), "--json").stdout)
    assert (told["drifted"], told["pending"]) == (True, ["0002_colour"])
    assert [row["state"] for row in told["recorded"]] == ["applied"]


def test_an_edited_migration_is_told(run: Run, folder: Folder) -> None:
    folder.add({"0001_orders.up": FIRST["0001_orders.up"] + ";"})
    shown = run("schema", "status", str(folder))
    assert shown.exit_code == 3
    assert "0001_orders: edited after it was applied by by hand" in shown.stderr


def test_data_is_printed_when_asked(run: Run, folder: Folder) -> None:
    folder.add(COLOUR)
    told = json.loads(run("schema", "prove", str(folder), "--old-smoke", str(folder.smoke), "--json").stdout)
    assert (told["holds"], told["tier"], told["problems"]) == (True, 2, [])
    [row] = json.loads(run("schema", "migrate", str(folder), "--unproven", "--json").stdout)
    assert row["number"] == 2
    gone = json.loads(run("schema", "rollback", "--to", "1", "--json").stdout)
    assert gone["taken_back"] == ["0002_colour"]
    assert gone["fingerprint"] == json.loads(run("schema", "fingerprint", "--json").stdout)["fingerprint"]


@pytest.mark.parametrize("url", ["", "postgresql://nobody:secret-word@127.0.0.1:1/x", "nonsense"])
def test_a_database_that_cannot_be_reached_is_told_without_its_password(
    run: Run, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("INTERLOCK_DATABASE", url)
    shown = run("schema", "fingerprint")
    assert shown.exit_code in (1, 2)
    assert shown.stderr.startswith("error: --database") or "no database" in shown.stderr
    assert "secret-word" not in shown.stdout + shown.stderr


def test_a_database_may_be_a_reference(run: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELSEWHERE", shop.dsn)
    assert run("schema", "fingerprint", "--database", "secret://env/ELSEWHERE").exit_code == 0


def test_a_backfill_is_proven_and_applied_and_one_under_way_shows_its_batches(
    run: Run, folder: Folder, shop: Shop
) -> None:
    shop.execute("insert into orders select n, 'first' from generate_series(2, 25) n")
    take = "select id from orders where note = 'first' order by id limit :batch for update skip locked"
    fill = f"-- interlock: phase=migrate batch=10\nupdate orders set note = 'second' where id in ({take})"
    folder.add({"0002_fill.up": fill, "0002_fill.down": "update orders set note = 'first' where note = 'second'"})
    shown = proven(run, folder)
    assert shown.exit_code == 0, shown.stderr
    assert "3 batches" in shown.stdout
    assert run("schema", "migrate", str(folder), "--proof", str(folder.proof)).exit_code == 0
    assert shop.execute("select count(*) from orders where note = 'second'") == [(25,)]
    shop.execute("update interlock_migrations set state = 'running' where number = 2")
    told = json.loads(run("schema", "status", str(folder), "--json").stdout)["recorded"][1]
    assert (told["state"], told["statements"]) == ("running", 3)
    assert "batches" in run("schema", "status", str(folder)).stdout
