"""A capture is seen by nobody but itself: not by fingerprints, digests and backups, and not by migrations."""

import io
from collections.abc import Iterator

import pytest

from adapters import postgres_capture as capture
from adapters.postgres_backup import environment, program, restore
from adapters.postgres_catalog import Link
from adapters.postgres_errand import Manners
from domain.errors import Rejected
from domain.schema.rehearsal import WayBack
from tasks.prove import on_a_copy
from tests.adapters.copied import Copied
from tests.adapters.shop import ORDERS, Shop, migrate, step

pytestmark = pytest.mark.real

QUICK = Manners(token=3, lock_budget=1.0)


@pytest.fixture
def link(shop: Shop) -> Iterator[Link]:
    migrate(shop.database, ORDERS)
    with shop.session("capture") as link:
        yield link


def marks(shop: Shop) -> list[tuple[str, object]]:
    return sorted(shop.execute("select tbl, pk from interlock_capture.dirty"), key=str)


def test_schema_rows_and_digests_are_those_of_before(link: Link, shop: Shop) -> None:
    shop.execute("insert into orders values (1, 'a')")
    before = shop.database.fingerprint(), shop.database.rows(), shop.database.backup(io.BytesIO()).tables
    capture.arm(link, QUICK)
    assert (shop.database.fingerprint(), shop.database.rows()) == before[:2]
    shop.execute("update orders set note = note")
    assert (shop.database.fingerprint(), shop.database.rows()) == before[:2]
    assert shop.database.backup(io.BytesIO()).tables == before[2]


def test_a_trigger_of_the_applications_own_is_still_seen(link: Link, shop: Shop) -> None:
    capture.arm(link, QUICK)
    before = shop.database.fingerprint()
    shop.execute("create function f() returns trigger language plpgsql as 'begin return new; end'")
    shop.execute("create trigger interlock_capture_2 before insert on orders for each row execute function f()")
    assert shop.database.fingerprint() != before


def test_a_backup_that_was_taken_meanwhile_verifies(link: Link, shop: Shop) -> None:
    capture.arm(link, QUICK)
    shop.execute("insert into orders values (1, 'a')")
    into = io.BytesIO()
    backup = shop.database.backup(into)
    into.seek(0)
    shop.database.verify(into, backup)
    assert backup.snapshot.count(":") == 2


def test_a_restored_database_captures_nothing(link: Link, shop: Shop) -> None:
    capture.arm(link, QUICK)
    shop.execute("insert into orders values (1, 'a')")
    into = io.BytesIO()
    backup = shop.database.backup(into)
    into.seek(0)
    with shop.database.clone(into, backup) as copy:
        assert "interlock_capture" not in copy.look().fingerprint
        assert copy.speak("insert into orders values (2, 'b'); select from interlock_capture.dirty", keep=True) == (
            ("select from interlock_capture.dirty", 'relation "interlock_capture.dirty" does not exist'),
        )


def test_not_even_one_that_somebody_restored_by_hand(link: Link, shop: Shop, server: str) -> None:
    capture.arm(link, QUICK)
    shop.execute("insert into orders values (1, 'a')")
    into = io.BytesIO()
    shop.database.backup(into)
    into.seek(0)
    other = Shop(server)
    restore(program("pg_restore", 18, None), environment(other.dsn), into)
    other.execute("insert into orders values (2, 'b'); truncate orders")
    assert marks(other) == []


def test_migrations_go_up_and_down_under_it(link: Link, shop: Shop) -> None:
    capture.arm(link, QUICK)
    migrate(shop.database, step(2, "alter table orders add colour text", down="alter table orders drop colour"))
    shop.database.revert(shop.database.recorded()[-1], "r2", 3)
    assert [row.number for row in shop.database.applied()] == [1]
    shop.execute("insert into orders values (1, 'a')")
    assert capture.state(link).marks == 1


@pytest.mark.parametrize("change", ["alter table orders rename id to number", "alter table orders drop id"])
def test_no_migration_takes_the_key_from_under_it_and_so_fails_every_write(link: Link, shop: Shop, change: str) -> None:
    capture.arm(link, QUICK)
    before = shop.database.fingerprint()
    with pytest.raises(Rejected, match=r"0002_step_2: public\.orders\.id is gone, .*nothing was changed"):
        migrate(shop.database, step(2, f"{change}; alter table orders rename to sales"))
    assert shop.database.fingerprint() == before
    migrate(shop.database, step(2, "alter table orders rename to sales"))
    shop.execute("insert into sales values (1, 'a')")
    assert marks(shop) == [("public.orders", {"id": 1})]


def test_a_way_back_is_proven_under_it_as_without_it(link: Link, shop: Shop) -> None:
    shop.execute("insert into orders values (1, 'a')")
    steps = (step(2, "alter table orders add colour text", down="alter table orders drop colour"),)
    way = WayBack(steps=steps, old="insert into orders values (9, 'old'); select id from orders", new=None)
    before = on_a_copy(shop.database, way, 0.0)
    capture.arm(link, QUICK)
    armed = on_a_copy(shop.database, way, 0.0)
    assert (armed.holds, armed.subject, armed.tier) == (True, before.subject, before.tier)
    assert armed.rehearsal.seen == before.rehearsal.seen
    assert capture.state(link).marks == 0


def test_a_masked_copy_has_nothing_of_it(copied: Copied) -> None:
    with copied.shop.session("capture") as link:
        capture.arm(link, QUICK)
    copied.refresh()
    assert copied.execute("select to_regnamespace('interlock_capture')") == [(None,)]
    assert copied.execute("select count(*) from pg_trigger where not tgisinternal") == [(0,)]
