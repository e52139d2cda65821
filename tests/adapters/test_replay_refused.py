"""What cannot be replayed is refused before anything is restored or frozen, with every reason at once."""

import io
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from adapters import postgres_capture as capture
from adapters import postgres_freeze as freezer
from adapters.postgres_end import End
from adapters.postgres_errand import Manners
from adapters.postgres_restore import Terms, restore
from domain.errors import Refused, Rejected
from domain.schema.replay import Replayed
from tests.adapters.shop import Shop, migrate, step

pytestmark = pytest.mark.real

QUICK = Manners(token=3, lock_budget=1.0)
SCHEMA = """
create table orders (id int primary key, note text, cents int);
create table old (id int primary key);
create table log (id int primary key, line text);
insert into orders values (1, 'a', 1), (2, 'b', 2); insert into old values (1); insert into log values (1, 'x');
"""


@pytest.fixture
def living(shop: Shop) -> Iterator[Shop]:
    migrate(shop.database, step(1, SCHEMA))
    yield shop
    with psycopg.connect(shop.superuser, autocommit=True) as link:
        for name in ("new", "b_new"):
            link.execute(f'drop database if exists "{shop.name}_{name}" with (force)'.encode())


@pytest.fixture
def link(living: Shop) -> Iterator[psycopg.Connection[Any]]:
    with living.session("capture") as link:
        capture.arm(link, QUICK)
        yield link


class Taken:
    """A backup, and what it can be restored to."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.dump = shop, io.BytesIO()
        self.backup = shop.database.backup(self.dump)

    def restore(self, **more: Any) -> Replayed:
        self.dump.seek(0)
        name = more.pop("name", f"{self.shop.name}_new")
        return restore(End(self.shop.dsn), name, self.dump, self.backup, Terms(QUICK, **more))


def databases(shop: Shop) -> list[str]:
    return [name for (name,) in shop.execute("select datname from pg_database where datname like '%\\_new'")]


def test_without_a_capture_there_is_nothing_to_replay(living: Shop) -> None:
    with pytest.raises(Refused, match="no capture is armed"):
        Taken(living).restore()
    assert databases(living) == []


def test_a_capture_that_came_after_the_backup_is_too_late(living: Shop) -> None:
    taken = Taken(living)
    with living.session() as link:
        capture.arm(link, QUICK)
    with pytest.raises(Refused, match=r"(?s)log was armed after the backup.*orders was armed after the backup"):
        taken.restore()
    assert databases(living) == []


def test_an_old_manifest_says_not_which_transactions_it_holds(living: Shop, link: Any) -> None:
    taken = Taken(living)
    taken.backup = taken.backup.model_copy(update={"snapshot": ""})
    with pytest.raises(Refused, match="does not say which transactions"):
        taken.restore()


def test_every_reason_is_told_at_once(living: Shop, link: Any) -> None:
    taken = Taken(living)
    living.execute("truncate log")
    migrate(living.database, step(2, "alter table orders drop note, alter cents type bigint"))
    living.execute("update orders set cents = 5; alter table old disable trigger interlock_capture")
    with pytest.raises(Refused) as refused:
        taken.restore()
    said = refused.value.message.splitlines()
    assert [line.partition(":")[0] for line in said[1:]] == [
        "public.log was emptied by TRUNCATE since the backup, which names no rows",
        "public.old",
        "public.orders.note is gone from the living database",
        "public.orders.cents was integer and is bigint",
    ]
    living.execute("insert into orders values (3, 3)")


def test_what_a_migration_took_from_a_quiet_table_is_brought_back(living: Shop, link: Any) -> None:
    taken = Taken(living)
    migrate(living.database, step(2, "alter table orders drop note; drop table old"))
    living.execute("insert into log values (2, 'y')")
    report = taken.restore()
    assert report.kept == ("public.old",)
    with psycopg.connect(psycopg.conninfo.make_conninfo(living.dsn, dbname=f"{living.name}_new")) as copy:
        assert copy.execute("select * from orders order by id").fetchall() == [(1, "a", 1), (2, "b", 2)]
        assert copy.execute("select count(*) from old").fetchall() == [(1,)]
        assert copy.execute("select id from log order by 1").fetchall() == [(1,), (2,)]


@pytest.mark.parametrize(
    "unseen",
    [
        "alter table log disable trigger interlock_capture; update log set line = 'unseen';"
        "alter table log enable always trigger interlock_capture",
        "alter table log drop line; alter table log add line text",
        "alter table log alter line type text using 'unseen'",
    ],
)
def test_a_write_that_went_past_the_capture_is_found(living: Shop, link: Any, unseen: str) -> None:
    taken = Taken(living)
    living.execute(unseen)
    with pytest.raises(Rejected, match=r"public\.log: .* and line differs"):
        taken.restore()
    living.execute("insert into log values (2, 'y')")


def test_a_large_object_that_was_written_to_is_found(living: Shop, link: Any) -> None:
    living.execute("select lo_from_bytea(4711, 'one')")
    taken = Taken(living)
    assert taken.restore().lost == 0
    living.execute("select lo_put(4711, 0, 'two')")
    with pytest.raises(Rejected, match="large objects differ"):
        taken.restore(name=f"{living.name}_b_new")


def test_somebody_elses_database_is_left_alone(living: Shop, link: Any, server: str) -> None:
    other = Shop(server)
    with pytest.raises(Refused, match=f"{other.name} is no database that Interlock restored"):
        Taken(living).restore(name=other.name)
    with pytest.raises(Refused, match="no database that Interlock restored"):
        Taken(living).restore(name=living.name)


def test_a_complete_one_is_not_restored_again(living: Shop, link: Any) -> None:
    taken = Taken(living)
    taken.restore()
    with pytest.raises(Refused, match="is restored and complete"):
        taken.restore()


def test_behind_a_long_writer_nobody_is_frozen(living: Shop, link: Any) -> None:
    taken = Taken(living)
    with living.session("a long writer") as writer:
        writer.execute("begin")
        writer.execute("insert into log values (7, 'long')")
        with pytest.raises(Rejected, match=r"(?s)freeze: no lock within the budget.*a long writer"):
            taken.restore(keep_frozen=True)
        living.execute("insert into orders values (9, 'open', 1)")
        writer.execute("commit")
    assert taken.restore(keep_frozen=True).keys == 2


def test_a_frozen_database_is_read_but_not_written_to_until_it_is_thawed(living: Shop, link: Any) -> None:
    Taken(living).restore(keep_frozen=True)
    assert capture.state(link).frozen == f"{living.name}_new"
    assert living.execute("select count(*) from orders") == [(2,)]
    for write in ("insert into orders values (9)", "delete from old", "truncate log", "update orders set cents = 1"):
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="has taken this database's place"):
            living.execute(write)
    before = living.database.fingerprint()
    freezer.thaw(link, QUICK)
    living.execute("insert into orders values (9)")
    assert (living.database.fingerprint(), capture.state(link).armed) == (before, True)
