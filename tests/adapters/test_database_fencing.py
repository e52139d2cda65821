"""An owner who was overtaken changes no schema: one contract, then races and stopped migrators on a real PostgreSQL."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from adapters.postgres_fence import ADVISORY, TABLE
from domain.errors import Conflict, Rejected
from domain.ports import Database
from tests.adapters.shop import ORDERS, Shop, migrate, step, wait_until
from tests.adapters.zombie import Zombie

ADD = step(2, "alter table orders add column extra text")
PIECES = step(
    2,
    "create index concurrently one on orders (note);\ncreate index concurrently two on orders (id, note)",
    transactional=False,
)


def test_a_stale_token_is_refused_and_changes_nothing(subject: tuple[Database, Any]) -> None:
    database, _ = subject
    migrate(database, ORDERS, token=7)
    before = database.fingerprint()
    for migration in (ADD, ORDERS):
        with pytest.raises(Conflict, match="token 7; mine is 6"):
            migrate(database, migration, token=6)
    assert database.fingerprint() == before
    assert [row.number for row in database.applied()] == [1]
    assert migrate(database, ADD, token=7).number == 2
    assert migrate(database, step(3, "create table third (id integer)"), token=9).number == 3


def test_a_claimed_database_refuses_older_owners_before_anything_is_migrated(subject: tuple[Database, Any]) -> None:
    database, _ = subject
    before = database.fingerprint()
    database.claim(7)
    for stale in (lambda: migrate(database, ORDERS, token=6), lambda: database.claim(6)):
        with pytest.raises(Conflict, match="token 7; mine is 6"):
            stale()
    assert (database.fingerprint(), database.applied()) == (before, ())
    database.claim(7)
    assert migrate(database, ORDERS, token=7).number == 1


def test_what_is_kept_of_tokens_is_no_part_of_the_schema(subject: tuple[Database, Any]) -> None:
    database, _ = subject
    before = database.fingerprint()
    migrate(database, step(1, "select 1"))
    assert database.fingerprint() == before
    assert dict(database.rows()) == {}


@pytest.mark.real
def test_a_database_from_before_tokens_gets_its_fence(shop: Shop) -> None:
    migrate(shop.database, ORDERS)
    before = shop.database.fingerprint()
    shop.execute("drop table interlock_fence")
    migrate(shop.database, ADD, token=1)
    shop.execute("alter table orders drop column extra")
    assert shop.database.fingerprint() == before
    assert shop.execute("select token from interlock_fence") == [(1,)]


@pytest.mark.real
def test_of_racing_owners_none_comes_after_a_newer_one(shop: Shop) -> None:
    migrate(shop.database, step(1, "create table t (id integer)"), token=1)
    tokens = random.sample(range(2, 12), 10)
    start = threading.Barrier(len(tokens))

    def race(token: int) -> bool:
        start.wait()
        try:
            add = step(token, f"alter table t add column c{token} integer")
            migrate(shop.database, add, token=token, lock_budget=60.0)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(len(tokens)) as pool:
        won = dict(zip(tokens, pool.map(race, tokens), strict=True))
    applied = [number for (number,) in shop.execute("select number from interlock_migrations order by applied_at")]
    assert applied == [1, *sorted(token for token in tokens if won[token])]
    assert won[11]
    columns = "select attname from pg_attribute where attrelid = 't'::regclass and attname ~ '^c[0-9]+$'"
    assert {int(name[1:]) for (name,) in shop.execute(columns)} == set(applied) - {1}


@pytest.mark.real
@pytest.mark.parametrize("place", ["_have_tables 1", "_record 1"])
def test_a_stopped_owners_open_transaction_is_rolled_back_by_the_server(shop: Shop, place: str) -> None:
    migrate(shop.database, ORDERS)
    zombie = Zombie("migrate", place, 5, shop.dsn, ADD.model_dump_json())
    assert migrate(shop.database, ADD, token=7, release="newer", lock_budget=30.0).release == "newer"
    after = shop.database.fingerprint()
    first, last = zombie.wake().splitlines()
    assert first.startswith("Unavailable")
    assert last.startswith("Conflict")
    assert "token 7; mine is 5" in last
    assert shop.database.fingerprint() == after
    assert shop.execute("select release from interlock_migrations where number = 2") == [("newer",)]


@pytest.mark.real
@pytest.mark.parametrize("place", ["_have_tables 1", "_record 1"])
def test_a_claim_ends_the_session_of_a_stopped_owner_at_once(shop: Shop, place: str) -> None:
    migrate(shop.database, ORDERS)
    before, zombie = shop.database.fingerprint(), Zombie("migrate", place, 5, shop.dsn, ADD.model_dump_json())
    shop.database.claim(7)
    assert "token 7; mine is 5" in zombie.wake().splitlines()[-1]
    assert shop.database.fingerprint() == before


@pytest.mark.real
def test_two_who_claim_a_fresh_database_at_once_both_can(shop: Shop) -> None:
    """One of them creates the fence; the other one's "if not exists" meets a name that is being taken."""
    with shop.session() as one:
        one.execute("begin")
        one.execute(TABLE)
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(shop.database.claim, 7)
            wait_until(lambda: bool(shop.execute("select 1 from pg_stat_activity where wait_event_type = 'Lock'")))
            one.execute("commit")
            other.result(timeout=30)
    with pytest.raises(Conflict, match="token 7; mine is 6"):
        shop.database.claim(6)


@pytest.mark.real
def test_a_claim_leaves_the_session_of_a_newer_owner_alone(shop: Shop) -> None:
    migrate(shop.database, ORDERS, token=7)
    with shop.session() as newer:
        newer.execute("select pg_advisory_lock(%s)", (ADVISORY,))
        with newer.transaction():
            newer.execute("select * from interlock_fence for update")
            with pytest.raises(Conflict, match="token 7; mine is 5"):
                shop.database.claim(5)
        assert newer.execute("select 1").fetchone() == (1,)


@pytest.mark.real
def test_a_newer_owner_waits_no_longer_than_its_budget(shop: Shop) -> None:
    """For an older one whose statement still runs, and whose session the server therefore does not end."""
    migrate(shop.database, ORDERS)
    with shop.session() as older:
        older.execute("select pg_advisory_lock(%s)", (ADVISORY,))
        with pytest.raises(Rejected, match=rf"no lock within the budget.*\npid {older.info.backend_pid} is migrating"):
            migrate(shop.database, ADD, token=7, lock_budget=1.0)
    with pytest.raises(Conflict, match="token 7; mine is 5"):  # but it was announced
        migrate(shop.database, ADD, token=5)


@pytest.mark.real
def test_a_script_in_pieces_is_gone_on_with_where_a_stopped_owner_left_it(shop: Shop) -> None:
    migrate(shop.database, ORDERS)
    zombie = Zombie("migrate", "single 2", 5, shop.dsn, PIECES.model_dump_json())
    assert migrate(shop.database, PIECES, token=7, release="newer", lock_budget=30.0).release == "newer"
    first, last = zombie.wake().splitlines()
    assert (first.partition(" ")[0], last.partition(" ")[0]) == ("Unavailable", "Conflict")
    indexes = "select count(*), bool_and(indisvalid) from pg_index where indrelid = 'orders'::regclass"
    assert shop.execute(indexes) == [(4, True)]
    assert shop.execute("select state, release from interlock_migrations where number = 2") == [("applied", "newer")]


@pytest.mark.real
def test_an_owner_who_is_overtaken_while_it_waits_for_a_lock_begins_nothing(shop: Shop) -> None:
    migrate(shop.database, ORDERS)
    with shop.session("nightly-report") as blocker, ThreadPoolExecutor(2) as pool:
        blocker.execute("begin")
        blocker.execute("select * from orders")
        older = pool.submit(migrate, shop.database, ADD, token=5, lock_budget=60.0)
        wait_until(lambda: shop.execute("select 1 from interlock_fence where token = 5"))
        newer = pool.submit(migrate, shop.database, step(3, "create table t (id integer)"), token=7, lock_budget=60.0)
        wait_until(lambda: shop.execute("select 1 from interlock_fence where token = 7"))
        blocker.execute("commit")
        with pytest.raises(Conflict, match=r"nothing was changed: .*token 7; mine is 5"):
            older.result()
        assert newer.result().number == 3
    assert [row.number for row in shop.database.applied()] == [1, 3]


@pytest.mark.real
def test_an_owner_who_is_overtaken_while_at_work_stops_after_its_statement(shop: Shop) -> None:
    migrate(shop.database, ORDERS)
    slow = step(2, "select pg_sleep(2);\ncreate table late (id integer)", transactional=False)
    with ThreadPoolExecutor(1) as pool:
        older = pool.submit(migrate, shop.database, slow, token=5)
        wait_until(lambda: shop.execute("select 1 from interlock_migrations where state = 'running'"))
        migrate(shop.database, step(3, "create table early (id integer)"), token=7, lock_budget=30.0)
        with pytest.raises(Conflict, match=r"the first 1 statements stay done; .*token 7; mine is 5"):
            older.result()
    assert shop.database.rows().keys() == {"public.orders", "public.early"}
