"""From the command line: arm, back up, restore with what was written since; a bare restore wants the number typed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from typer.testing import Result

from tests.adapters.shop import ORDERS, Shop, migrate

pytestmark = pytest.mark.real
Run = Callable[..., Result]


@pytest.fixture
def shop(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    shop = Shop(server)
    monkeypatch.setenv("INTERLOCK_DATABASE", shop.dsn)
    migrate(shop.database, ORDERS)
    shop.execute("insert into orders values (1, 'first')")
    yield shop
    with psycopg.connect(server, autocommit=True) as link:
        link.execute(f'drop database if exists "{shop.name}_2" with (force)'.encode())


@pytest.fixture
def dump(tmp_path: Path) -> str:
    return str(tmp_path / "shop.dump.zst")


def notes(shop: Shop) -> list[str]:
    with psycopg.connect(psycopg.conninfo.make_conninfo(shop.dsn, dbname=f"{shop.name}_2")) as copy:
        return [note for (note,) in copy.execute("select note from orders order by id")]


def test_back_to_a_backup_with_what_was_written_since(run: Run, shop: Shop, dump: str) -> None:
    armed = run("schema", "capture")
    assert "armed: 1 tables, 0 marks" in armed.stdout
    assert run("schema", "backup", "--out", dump).exit_code == 0
    shop.execute("insert into orders values (2, 'since')")
    shown = run("schema", "restore", dump, "--into", f"{shop.name}_2")
    assert shown.exit_code == 0
    assert "1 keys replayed in" in shown.stdout
    assert f"{shop.name}_2 is complete; rows lost: 0" in shown.stdout
    assert notes(shop) == ["first", "since"]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        shop.execute("insert into orders values (3, 'too late')")
    assert "frozen" in run("schema", "capture").stdout
    assert run("schema", "capture", "--thaw").exit_code == 0
    shop.execute("insert into orders values (3, 'again')")
    assert run("schema", "capture", "--disarm").stdout.strip() == "not armed"


def test_a_bare_restore_says_how_many_rows_it_would_lose_and_wants_the_number(run: Run, shop: Shop, dump: str) -> None:
    run("schema", "capture")
    run("schema", "backup", "--out", dump)
    shop.execute("insert into orders values (2, 'b'), (3, 'c'); update orders set note = 'x'")
    shown = run("schema", "restore", dump, "--into", f"{shop.name}_2", "--bare")
    assert shown.exit_code == 3
    assert "3 rows written since the backup would be lost" in shown.stderr
    assert "--lose 3" in shown.stderr
    assert run("schema", "restore", dump, "--into", f"{shop.name}_2", "--bare", "--lose", "2").exit_code == 3
    done = run("schema", "restore", dump, "--into", f"{shop.name}_2", "--bare", "--lose", "3", "--leave-open", "--json")
    assert json.loads(done.stdout)["lost"] == 3
    assert notes(shop) == ["first"]
    shop.execute("insert into orders values (4, 'still open')")


def test_without_a_capture_nobody_knows_the_number(run: Run, shop: Shop, dump: str) -> None:
    run("schema", "backup", "--out", dump)
    shown = run("schema", "restore", dump, "--into", f"{shop.name}_2")
    assert shown.exit_code == 3
    assert "no capture is armed" in shown.stderr
    shown = run("schema", "restore", dump, "--into", f"{shop.name}_2", "--bare", "--lose", "5")
    assert shown.exit_code == 3
    assert "--lose unknown" in shown.stderr
    shown = run("schema", "restore", dump, "--into", f"{shop.name}_2", "--bare", "--lose", "unknown")
    assert shown.exit_code == 0
    assert "nobody knows how many" in shown.stdout


def test_a_table_without_a_primary_key_is_refused(run: Run, shop: Shop) -> None:
    shop.execute("create table log (line text)")
    shown = run("schema", "capture")
    assert shown.exit_code == 3
    assert "public.log has no primary key" in shown.stderr


def test_a_dump_that_is_not_its_manifests_is_not_restored(run: Run, shop: Shop, dump: str) -> None:
    run("schema", "backup", "--out", dump)
    with Path(dump).open("ab") as file:
        file.write(b"x")
    shown = run("schema", "restore", dump, "--into", f"{shop.name}_2")
    assert shown.exit_code == 1
    assert "not the dump that its manifest is about" in shown.stderr
    assert run("schema", "restore", dump + "x", "--into", "y").exit_code == 2
