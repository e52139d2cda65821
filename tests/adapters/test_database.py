"""A migration happens or does not; it never makes users queue; a backup that verifies can be restored."""

import io
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters import postgres_script
from adapters.memory.secrets import MemorySecrets
from adapters.postgres import Postgres
from adapters.postgres_catalog import STRUCTURE, fingerprint
from domain.errors import Conflict, Invalid, Rejected, Unavailable
from domain.ports import Database
from domain.schema.backup import Backup
from tests.adapters.shop import DSN, ORDERS, Shop, migrate, step, wait_until


def dump(database: Database) -> tuple[bytes, Backup]:
    into = io.BytesIO()
    backup = database.backup(into)
    return into.getvalue(), backup


class TestContract:
    def test_a_fresh_database_has_nothing_applied(self, subject: tuple[Database, Any]) -> None:
        database, _ = subject
        assert database.applied() == ()
        assert dict(database.rows()) == {}

    def test_a_migration_changes_the_schema_and_is_listed(self, subject: tuple[Database, Any]) -> None:
        database, execute = subject
        before = database.fingerprint()
        row = migrate(database, ORDERS, release="shop-1.0.0")
        execute("insert into orders values (1, 'first'), (2, 'second')")
        assert database.applied() == (row,)
        assert row.fingerprint == database.fingerprint()
        assert (row.checksum, row.release, row.phase) == (ORDERS.checksum, "shop-1.0.0", "expand")
        assert database.fingerprint() != before
        assert dict(database.rows()) == {"public.orders": 2}

    def test_applying_again_changes_nothing_and_keeps_the_first_release(self, subject: tuple[Database, Any]) -> None:
        database, _ = subject
        first = migrate(database, ORDERS, release="first")
        after = database.fingerprint()
        assert migrate(database, ORDERS, release="second") == first
        assert database.fingerprint() == after

    def test_another_script_under_an_applied_number_is_a_conflict(self, subject: tuple[Database, Any]) -> None:
        database, _ = subject
        migrate(database, ORDERS)
        with pytest.raises(Conflict, match="0001_step_1"):
            migrate(database, step(1, "create table other (id integer)"))

    def test_a_failing_migration_leaves_the_schema_and_the_list_as_before(self, subject: tuple[Database, Any]) -> None:
        database, _ = subject
        migrate(database, ORDERS)
        before = database.fingerprint()
        broken = step(
            2, "create table good (id integer);\ninsert into orders values (7, 'x');\nselect nonsense from orders"
        )
        with pytest.raises(Rejected, match=r"(?s)0002_step_2, line 3: .*nonsense.*nothing was changed"):
            migrate(database, broken)
        assert database.fingerprint() == before
        assert [row.number for row in database.applied()] == [1]
        assert dict(database.rows()) == {"public.orders": 0}

    def test_the_order_of_columns_does_not_matter(self, subject: tuple[Database, Any]) -> None:
        database, execute = subject
        execute("create table t (a integer, b text)")
        first = database.fingerprint()
        execute("drop table t")
        execute("create table t (b text, a integer)")
        assert database.fingerprint() == first

    @pytest.mark.parametrize(
        "word", ["commit", "BEGIN", "rollback", "set lock_timeout = 0", "SET LOCAL statement_timeout=0"]
    )
    def test_a_script_may_not_steer_transactions_or_time_outs(self, subject: tuple[Database, Any], word: str) -> None:
        database, _ = subject
        before = database.fingerprint()
        with pytest.raises(Rejected, match=r"line 2: .* is not allowed"):
            migrate(database, step(1, f"create table a (id integer);\n{word};\ncreate table b (id integer)"))
        assert database.fingerprint() == before

    def test_a_backup_of_what_is_there_verifies(self, subject: tuple[Database, Any]) -> None:
        database, execute = subject
        migrate(database, ORDERS)
        execute("insert into orders values (1, 'first'), (2, 'second')")
        stored, backup = dump(database)
        assert backup.tables["public.orders"].rows == 2
        assert backup.fingerprint == database.fingerprint()
        database.verify(io.BytesIO(stored), backup)

    @pytest.mark.parametrize(
        "change", ["delete from orders where id = 2", "update orders set note = 'other' where id = 2"]
    )
    def test_a_restored_table_that_differs_is_named(self, subject: tuple[Database, Any], change: str) -> None:
        database, execute = subject
        execute("create table same (id integer)")
        migrate(database, ORDERS)
        execute("insert into orders values (1, 'first'), (2, 'second')")
        _, claimed = dump(database)
        execute(change)
        stored, _ = dump(database)
        with pytest.raises(Rejected, match="orders") as caught:
            database.verify(io.BytesIO(stored), claimed)
        assert "same" not in caught.value.message.replace("the same", "")

    def test_a_restored_schema_that_differs_is_told(self, subject: tuple[Database, Any]) -> None:
        database, execute = subject
        migrate(database, ORDERS)
        _, claimed = dump(database)
        execute("drop index on_note")
        stored, _ = dump(database)
        with pytest.raises(Rejected, match="the schema"):
            database.verify(io.BytesIO(stored), claimed)

    @pytest.mark.parametrize("cut", ["everything", "all but a byte", "half", "a byte"])
    def test_a_backup_that_is_cut_off_is_caught(self, subject: tuple[Database, Any], cut: str) -> None:
        database, execute = subject
        migrate(database, ORDERS)
        execute("insert into orders values (1, 'first'), (2, 'second')")
        stored, backup = dump(database)
        size = len(stored)
        left = {"everything": 0, "all but a byte": 1, "half": size // 2, "a byte": size - 1}[cut]
        with pytest.raises(Rejected):
            database.verify(io.BytesIO(stored[:left]), backup)

    def test_a_full_store_is_told_plainly(self, subject: tuple[Database, Any]) -> None:
        database, _ = subject
        migrate(database, ORDERS)
        with (
            pytest.raises(Unavailable, match="the store is full") as caught,
            open("/dev/full", "wb", buffering=0) as full,
        ):
            database.backup(full)
        assert "space" in caught.value.hint


EVERYTHING = """
create schema audit;
create type mood as enum ('sad', 'ok', 'happy');
create domain email as text check (value like '%@%');
create type address as (street text, city varchar(40));
create sequence ticket start 100 increment 5 cache 3;
create table customers (id bigint generated always as identity primary key, mail email not null unique,
  mood mood default 'ok',
  moods mood[], status varchar(10) not null default 'new' check (status in ('new', 'active', 'gone')), home address,
  extra jsonb, raw json, tags text[] not null default '{}', born date, seen timestamptz default now(),
  score numeric(10, 2),
  shout text generated always as (upper(status)) stored, code char(3) check (code in ('abc', 'def')));
create table orders (id serial primary key, customer bigint not null references customers on delete cascade deferrable,
  total numeric not null check (total between 0 and 10000), period tstzrange, place point, "Odd ""name" text);
create table audit.log (at timestamptz not null default now(), what text) partition by range (at);
create table audit.log_old partition of audit.log for values from (minvalue) to ('2026-01-01');
create table audit.log_new partition of audit.log for values from ('2026-01-01') to (maxvalue);
create index on audit.log (at);
create table parent (id int); create table child (more text) inherits (parent);
create unique index one_active on orders (customer) where total > 5 and lower("Odd ""name") in ('a', 'b');
create view spend as select c.id, c.mood, sum(o.total) as total from customers c join orders o on o.customer = c.id
  where c.status in ('new', 'active') group by 1, 2;
create materialized view moods as select mood, count(*) from customers group by 1;
create function touch() returns trigger language plpgsql as $$ begin new.seen := now(); return new; end; $$;
create trigger touch before update on customers for each row execute function touch();
create function twice(x int default 2) returns int language sql immutable begin atomic select x * 2; end;
create rule quiet as on delete to parent do instead nothing;
alter table orders enable row level security;
create policy own on orders using (customer > 0);
alter table orders add constraint late check (total <> 13) not valid;
create statistics st on customer, total from orders;
create table nothing ();
insert into customers (mail, mood, moods, home, extra, raw, tags, score, code) select n || '@x',
  (array['sad', 'ok']::mood[])[1 + n % 2],
  array['happy', 'sad']::mood[], row('s' || n, 'c')::address, jsonb_build_object('n', n), '{"b": 1, "a":  2}',
  array['t', null], n / 3.0, 'abc'
  from generate_series(1, 50) n;
insert into orders (customer, total, period, place) select n, n % 7, tstzrange(now(), null), point(n, 1)
  from generate_series(1, 50) n;
insert into audit.log values ('2025-05-05', 'old'), ('2026-05-05', 'new');
insert into child values (1, 'x'); insert into parent values (2); insert into nothing default values;
refresh materialized view moods;
grant select on customers to poor; grant update (status) on customers to poor;
"""


@pytest.fixture(scope="module")
def everything(server: str) -> Shop:
    shop = Shop(server)
    shop.execute(EVERYTHING)
    return shop


@pytest.mark.real
class TestBackup:
    def test_every_kind_of_table_and_type_survives_the_round_trip(self, shop: Shop) -> None:
        shop.execute(EVERYTHING)
        stored, backup = dump(shop.database)
        shop.database.verify(io.BytesIO(stored), backup)
        assert {table: digest.rows for table, digest in backup.tables.items()} == shop.database.rows()
        assert backup.tables["public.parent"].rows == 1, "a child's rows are counted with the child alone"
        assert backup.tables["audit.log_old"].rows == 1
        assert backup.server.startswith("18.")
        assert shop.scratch_databases() == []

    def test_a_lost_row_is_counted(self, shop: Shop) -> None:
        shop.execute("create table t as select n from generate_series(1, 9) n")
        _, claimed = dump(shop.database)
        shop.execute("delete from t where n = 5")
        stored, _ = dump(shop.database)
        with pytest.raises(Rejected, match=r"public\.t has 8 rows instead of 9"):
            shop.database.verify(io.BytesIO(stored), claimed)

    def test_a_flipped_bit_in_a_row_is_caught_by_its_digest_alone(self, shop: Shop) -> None:
        shop.execute("create table t (id int, word text); insert into t values (1, 'alphabet'), (2, 'betabet')")
        stored, backup = dump(shop.database)
        plain = zstandard.ZstdDecompressor().decompressobj().decompress(stored)
        assert plain.count(b"alphabet") == 1
        changed = zstandard.ZstdCompressor().compress(plain.replace(b"alphabet", b"alphabft"))
        with pytest.raises(Rejected, match=r"public\.t has other content"):
            shop.database.verify(io.BytesIO(changed), backup)
        assert shop.scratch_databases() == []

    @pytest.mark.parametrize("more", [b"x", bytes(4096), zstandard.ZstdCompressor().compress(b"x"), bytes(1 << 21)])
    def test_what_stands_behind_the_end_of_the_stored_object_is_caught(self, shop: Shop, more: bytes) -> None:
        shop.execute("create table t (id int)")
        stored, backup = dump(shop.database)
        with pytest.raises(Rejected, match="behind its end"):
            shop.database.verify(io.BytesIO(stored + more), backup)

    def test_a_flipped_byte_in_the_stored_object_is_caught_anywhere(self, shop: Shop) -> None:
        shop.execute("create table t as select n, md5(n::text) from generate_series(1, 500) n")
        stored, backup = dump(shop.database)
        for place in (0.01, 0.3, 0.6, 0.9, 0.999):
            broken = bytearray(stored)
            broken[int(len(stored) * place)] ^= 0x10
            with pytest.raises(Rejected):
                shop.database.verify(io.BytesIO(broken), backup)
        assert shop.scratch_databases() == []

    def test_dump_and_digests_show_one_moment_while_the_application_writes(self, shop: Shop) -> None:
        shop.execute("create table t (id bigserial, filler text default repeat('x', 500))")
        shop.execute("insert into t select from generate_series(1, 20000)")
        stop = threading.Event()

        def write() -> int:
            with shop.session() as link:
                while not stop.is_set():
                    link.execute("insert into t default values")
                return link.execute("select count(*) from t").fetchall()[0][0]

        with ThreadPoolExecutor(1) as writer:
            written = writer.submit(write)
            try:
                stored, backup = dump(shop.database)
            finally:
                stop.set()
        shop.database.verify(io.BytesIO(stored), backup)
        assert 20_000 < written.result() != backup.tables["public.t"].rows

    def test_rows_that_a_policy_hides_are_not_missing_unnoticed(self, server: str) -> None:
        poor = Shop(server, "poor", "poor-password")
        with psycopg.connect(psycopg.conninfo.make_conninfo(server, dbname=poor.name), autocommit=True) as link:
            link.execute("create table t (id int)")
            link.execute("alter table t enable row level security")
            link.execute("grant select on t to poor")
        with pytest.raises((Invalid, Rejected), match="row-level security"):
            poor.database.backup(io.BytesIO())
        with pytest.raises(Invalid, match="row-level security"):
            poor.database.rows()

    def test_a_dump_that_dies_is_no_backup(self, shop: Shop, tmp_path: Path) -> None:
        shop.execute("create table t (id int)")
        fake = tmp_path / "pg_dump"
        fake.write_text(
            '#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 18.0" && exit\n'
            "echo half; echo lost >&2; exit 1\n"
        )
        fake.chmod(0o755)
        database = Postgres(DSN, MemorySecrets({DSN: shop.dsn}), tmp_path)
        with pytest.raises(Rejected, match="pg_dump failed: lost"):
            database.backup(io.BytesIO())

    def test_an_old_pg_dump_is_not_used(self, shop: Shop, tmp_path: Path) -> None:
        fake = tmp_path / "pg_dump"
        fake.write_text('#!/bin/sh\necho "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"; exit 3\n')
        fake.chmod(0o755)
        Postgres(DSN, MemorySecrets({DSN: shop.dsn}), tmp_path).backup(io.BytesIO())

    def test_no_argument_of_the_dump_carries_the_password(self, shop: Shop) -> None:
        shop.execute("create table t as select n, repeat('x', 1000) from generate_series(1, 5000) n")
        seen: list[bytes] = []

        class Slow(io.BytesIO):
            def write(self, data: Any) -> int:
                for folder in Path("/proc").glob("[0-9]*"):
                    try:
                        line = (folder / "cmdline").read_bytes()
                        if b"pg_dump" in line and f"PPid:\t{os.getpid()}\n" in (folder / "status").read_text():
                            seen.append(line)
                    except OSError:
                        continue
                return super().write(data)

        shop.database.backup(Slow())
        assert seen
        assert not [line for line in seen if b"p@ss" in line or b"p%40ss" in line]

    def test_a_role_that_may_not_create_databases_is_told_the_grant(self, server: str) -> None:
        poor = Shop(server, "poor", "poor-password")
        stored, backup = dump(poor.database)
        with pytest.raises(Invalid, match="may not create") as caught:
            poor.database.verify(io.BytesIO(stored), backup)
        assert 'ALTER ROLE "poor" CREATEDB' in caught.value.hint

    def test_old_scratch_databases_that_nobody_uses_are_swept(self, shop: Shop) -> None:
        stored, backup = dump(shop.database)
        names = ("interlock_scratch_1000_aaaaaaaa", "interlock_scratch_1000_bbbbbbbb", "interlock_scratch_mine")
        young = f"interlock_scratch_{int(time.time())}_cccccccc"
        for name in (*names, young):
            shop.execute(f"create database {name}")
        with psycopg.connect(psycopg.conninfo.make_conninfo(shop.dsn, dbname=names[1])):
            shop.database.verify(io.BytesIO(stored), backup)
        left = shop.scratch_databases()
        for name in (*names, young):
            shop.execute(f"drop database if exists {name}")
        assert sorted(left) == sorted([names[1], names[2], young])


@pytest.mark.real
class TestFingerprint:
    @pytest.mark.parametrize(
        "change",
        [
            "alter table customers alter mail drop not null",
            "alter table customers alter mood drop default",
            "alter table customers alter score type numeric(12, 2)",
            "alter table customers drop constraint customers_status_check",
            "alter table orders drop constraint orders_customer_fkey",
            "alter table orders validate constraint late",
            "drop index one_active",
            "alter table customers disable trigger touch",
            "create or replace function touch() returns trigger language plpgsql as $$ begin return new; end; $$",
            "alter type mood add value 'angry'",
            "alter domain email drop constraint email_check",
            "alter sequence ticket increment 6",
            "drop policy own on orders",
            "alter table orders disable row level security",
            "drop rule quiet on parent",
            "create or replace view spend as select id, mood, 0::numeric as total from customers",
            "drop statistics st",
            "alter table audit.log detach partition audit.log_old",
            "alter table child no inherit parent",
            "create schema other",
            "revoke select on customers from poor",
            "revoke update (status) on customers from poor",
            "grant usage on schema audit to poor",
            "revoke execute on function twice from public",
        ],
    )
    def test_every_change_is_seen(self, everything: Shop, change: str) -> None:
        before = everything.database.fingerprint()
        with everything.session() as link, link.transaction(force_rollback=True):
            link.execute(change.encode())
            link.execute("set local search_path = ''")
            after = fingerprint(link)
        assert after != before
        assert (after[:STRUCTURE] == before[:STRUCTURE]) == change.startswith(("revoke", "grant"))
        assert everything.database.fingerprint() == before

    @pytest.mark.parametrize(
        "change",
        [
            "insert into orders (customer, total) values (1, 1)",
            "select nextval('ticket')",
            "comment on table orders is 'x'",
            "alter table nothing owner to poor",
            "analyze",
            "create table passing (); drop table passing",
        ],
    )
    def test_content_owners_and_comments_do_not_count(self, everything: Shop, change: str) -> None:
        before = everything.database.fingerprint()
        target = psycopg.conninfo.make_conninfo(everything.superuser, dbname=everything.name)
        with psycopg.connect(target, autocommit=True) as link:
            link.execute(change.encode())
            try:
                assert everything.database.fingerprint() == before
            finally:
                link.execute("alter table nothing owner to shop")


@contextmanager
def readers(shop: Shop, table: str, patience: str) -> Iterator[list[int]]:
    """Read a table all the time with a lock_timeout of `patience`; yields [reads, reads that waited longer]."""
    count = [0, 0]
    stop = threading.Event()

    def read() -> None:
        with shop.session(lock_timeout=patience) as link:
            while not stop.is_set():
                count[0] += 1
                try:
                    link.execute(f"select count(*) from {table}".encode())
                except psycopg.errors.LockNotAvailable:
                    count[1] += 1
                time.sleep(0.005)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        try:
            yield count
        finally:
            stop.set()
            reading.result()


@pytest.mark.real
class TestLocks:
    def test_a_long_transaction_is_named_and_nobody_queues_behind_the_migrator(self, shop: Shop) -> None:
        migrate(shop.database, ORDERS)
        before = shop.database.fingerprint()
        with shop.session("nightly-report") as blocker, blocker.transaction():
            blocker.execute("select * from orders")
            with readers(shop, "orders", "400ms") as count, pytest.raises(Rejected) as caught:
                migrate(shop.database, step(2, "alter table orders add column extra text"), lock_budget=2.0)
            assert f"pid {blocker.info.backend_pid} (nightly-report, idle in transaction" in caught.value.message
        assert "nothing was changed" in caught.value.message
        assert count[0] > 20
        assert count[1] == 0, "a reader waited longer than a few lock time-outs"
        assert shop.database.fingerprint() == before
        assert migrate(shop.database, step(2, "alter table orders add column extra text")).number == 2

    def test_while_it_waits_for_a_known_blocker_it_never_asks_for_the_lock(self, shop: Shop) -> None:
        migrate(shop.database, ORDERS)
        with shop.session() as blocker, blocker.transaction():
            blocker.execute("select * from orders")
            time.sleep(0.3)
            with pytest.raises(Rejected, match="0 attempts"):
                migrate(shop.database, step(2, "alter table orders add column extra text"), lock_budget=1.0)

    def test_it_goes_on_as_soon_as_the_blocker_leaves(self, shop: Shop) -> None:
        migrate(shop.database, ORDERS)
        with shop.session() as blocker, ThreadPoolExecutor(1) as pool:
            blocker.execute("begin")
            blocker.execute("select * from orders")
            going = pool.submit(
                migrate, shop.database, step(2, "alter table orders add column x text"), lock_budget=60.0
            )
            time.sleep(0.6)
            assert not going.done()
            blocker.execute("commit")
            assert going.result(timeout=30).number == 2

    def test_a_lock_that_only_shows_when_asked_for_is_given_up_and_asked_for_again(self, shop: Shop) -> None:
        """Dynamic SQL names no table: the look finds nothing, the lock time-out does."""
        migrate(shop.database, ORDERS)
        hidden = "do $$ begin execute 'alter table or' || 'ders add column x text'; end $$"
        with shop.session("hidden-one") as blocker, blocker.transaction():
            blocker.execute("select * from orders")
            with (
                readers(shop, "orders", "400ms") as count,
                pytest.raises(Rejected, match="nothing was changed") as caught,
            ):
                migrate(shop.database, step(2, hidden), lock_budget=2.5)
        assert count[1] == 0
        attempts = int(caught.value.message.split(" attempts")[0].split()[-1])
        assert 2 <= attempts <= 5, "a tenth of the time in the queue, no more"

    def test_two_migrators_take_turns(self, shop: Shop) -> None:
        slow = step(1, "create table t (id int); select pg_sleep(0.5)")
        with ThreadPoolExecutor(3) as pool:
            rows = list(pool.map(lambda name: migrate(shop.database, slow, release=name, lock_budget=60.0), "abc"))
        assert len({row.release for row in rows}) == 1
        assert shop.execute("select count(*) from interlock_migrations") == [(1,)]

    def test_a_statement_that_takes_too_long_is_rejected(self, shop: Shop) -> None:
        before = shop.database.fingerprint()
        with pytest.raises(Rejected, match=r"timeout=0\.2s"):
            migrate(shop.database, step(1, "create table t (id int); select pg_sleep(30)", timeout=0.2))
        assert shop.database.fingerprint() == before

    def test_no_lock_time_out_at_all_is_invalid(self, shop: Shop) -> None:
        with pytest.raises(Invalid, match="wait for ever"):
            migrate(shop.database, ORDERS, lock_timeout=0.0)

    def test_the_row_keeps_the_way_down_and_both_fingerprints(self, shop: Shop) -> None:
        before = shop.database.fingerprint()
        migrate(shop.database, step(1, "create table t (id int)", down="drop table t"))
        columns = "down, length(down_checksum), fingerprint_before, fingerprint_after, state, attempts"
        query = f"select {columns} from interlock_migrations"
        assert shop.execute(query) == [("drop table t", 64, before, shop.database.fingerprint(), "applied", 1)]


CONCURRENTLY = (
    "create index concurrently by_note on orders (note);\ncreate unique index concurrently once on orders (note)"
)


@pytest.mark.real
class TestOutsideATransaction:
    def test_indexes_are_built_concurrently_while_a_transaction_is_open(self, shop: Shop) -> None:
        migrate(shop.database, ORDERS)
        with shop.session() as other, ThreadPoolExecutor(1) as pool:
            other.execute("begin isolation level repeatable read")
            other.execute("select * from orders")
            online = step(2, CONCURRENTLY, transactional=False)
            with readers(shop, "orders", "400ms") as count:
                going = pool.submit(migrate, shop.database, online, lock_budget=60.0)
                time.sleep(1.0)
                other.execute("commit")
                assert going.result(timeout=30).number == 2
        assert count[1] == 0
        query = "select indisvalid from pg_index where indexrelid in ('by_note'::regclass, 'once'::regclass)"
        assert shop.execute(query) == [(True,), (True,)]
        query = "select state, statements, lock_wait_ms from interlock_migrations where number = 2"
        assert shop.execute(query) == [("applied", 2, 0)], "an index is built once, not again after every wait"

    def test_a_failing_first_statement_leaves_no_invalid_index_and_no_row(self, shop: Shop) -> None:
        migrate(shop.database, ORDERS)
        shop.execute("insert into orders values (1, 'twice'), (2, 'twice')")
        before = shop.database.fingerprint()
        unique = step(2, "create unique index concurrently once on orders (note)", transactional=False)
        with pytest.raises(Rejected, match="nothing was changed"):
            migrate(shop.database, unique)
        assert shop.database.fingerprint() == before
        assert shop.execute("select count(*) from interlock_migrations") == [(1,)]

    def test_a_later_failure_tells_how_far_it_got_and_the_next_attempt_goes_on_there(self, shop: Shop) -> None:
        migrate(shop.database, ORDERS)
        shop.execute("insert into orders values (1, 'twice'), (2, 'twice')")
        both = step(2, CONCURRENTLY, transactional=False)
        with pytest.raises(Rejected, match=r"line 2: .*the first 1 statements stay done"):
            migrate(shop.database, both)
        assert [row.number for row in shop.database.applied()] == [1]
        shop.execute("update orders set note = 'other' where id = 2")
        assert migrate(shop.database, both).number == 2

    @pytest.mark.parametrize("ends", ["its session too", "its process only"])
    def test_a_migrator_that_was_killed_is_followed_up(self, shop: Shop, ends: str) -> None:
        """Killed for real while it builds an index: INVALID stays behind, or the server finishes it without us."""
        migrate(shop.database, ORDERS)
        script = (
            "import os, sys\n"
            "from adapters.postgres import Postgres; from adapters.memory.secrets import MemorySecrets\n"
            "from domain.schema.migration import Migration\n"
            "step = Migration.model_validate_json(sys.argv[1])\n"
            "database = Postgres('secret://x/y', MemorySecrets({'secret://x/y': os.environ['DSN']}))\n"
            "database.migrate(step, 'dead', 3, 0.05, 60.0)\n"
        )
        both = step(2, CONCURRENTLY, transactional=False)
        with shop.session() as other:
            command = [sys.executable, "-c", script, both.model_dump_json()]
            environment = os.environ | {"DSN": shop.dsn, "PYTHONPATH": os.getcwd()}
            other.execute("begin isolation level repeatable read")
            other.execute("select * from orders")
            dying = subprocess.Popen(command, env=environment)
            invalid = "select count(*) from pg_index where not indisvalid"
            wait_until(lambda: shop.execute(invalid) == [(1,)])
            dying.kill()
            dying.wait()
            if ends == "its session too":
                found = "from pg_stat_activity where application_name = 'interlock' and datname = current_database()"
                shop.execute(f"select pg_terminate_backend(pid) {found}")
                wait_until(lambda: shop.execute(f"select count(*) {found}") == [(0,)])
                assert shop.execute(invalid) == [(1,)]
            other.execute("commit")
        mine = (
            "select count(*) from pg_stat_activity"
            " where application_name = 'interlock' and datname = current_database()"
        )
        wait_until(lambda: shop.execute(mine) == [(0,)])
        assert [row.number for row in shop.database.applied()] == [1]
        assert migrate(shop.database, both, release="alive").release == "alive"
        assert shop.execute(
            "select count(*), bool_and(indisvalid) from pg_index where indrelid = 'orders'::regclass"
        ) == [(4, True)]


@pytest.mark.real
class TestConnection:
    def test_a_database_that_is_gone_is_worth_another_try_and_keeps_its_password(self) -> None:
        dsn = "postgresql://shop:hunter2@secret@127.0.0.1:1/shop"
        with pytest.raises(Unavailable, match="does not answer") as caught:
            Postgres(DSN, MemorySecrets({DSN: dsn})).fingerprint()
        assert_keeps(caught, "hunter2", "secret@")

    def test_a_wrong_password_is_invalid_and_not_shown(self, shop: Shop) -> None:
        dsn = psycopg.conninfo.make_conninfo(shop.dsn, password="wr0ng-one")
        with pytest.raises(Invalid, match='password authentication failed for user "shop"') as caught:
            Postgres(DSN, MemorySecrets({DSN: dsn})).rows()
        assert_keeps(caught, "wr0ng-one")

    def test_what_is_no_connection_string_is_invalid_and_not_shown(self) -> None:
        with pytest.raises(Invalid, match="not a connection string") as caught:
            Postgres(DSN, MemorySecrets({DSN: "postgresq//shop:hunter2@db/shop"})).rows()
        assert_keeps(caught, "hunter2")

    def test_a_session_that_is_ended_is_worth_another_try_and_settled_by_its_row(self, shop: Shop) -> None:
        ended = step(1, "create table t (id int); select pg_terminate_backend(pg_backend_pid())")
        with pytest.raises(Unavailable, match="broke off"):
            migrate(shop.database, ended)
        assert shop.database.applied() == ()
        assert dict(shop.database.rows()) == {}

    def test_a_role_that_may_not_create_tables_is_told_the_grant(self, server: str, shop: Shop) -> None:
        shop.execute(f"grant connect on database {shop.name} to poor")
        dsn = psycopg.conninfo.make_conninfo(shop.dsn, user="poor", password="poor-password")
        with pytest.raises(Invalid) as caught:
            migrate(Postgres(DSN, MemorySecrets({DSN: dsn})), ORDERS)
        assert caught.value.hint == 'GRANT CREATE ON SCHEMA public TO "poor";'

    def test_it_shows_its_reference_only(self, shop: Shop) -> None:
        assert repr(shop.database) == f"Postgres('{DSN}')"


def assert_keeps(caught: pytest.ExceptionInfo[BaseException], *secret: str) -> None:
    """Neither the message nor the printed chain of causes holds any of these."""
    printed = "".join(traceback.format_exception(caught.value))
    shown = [line for line in printed.splitlines() if "dsn = " not in line and "MemorySecrets({" not in line]
    assert not [line for line in shown if any(piece in line for piece in secret)]


class TestScripts:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("select 1; select 2", ["select 1", "select 2"]),
            ("select ';'; select \";\" ;", ["select ';'", 'select ";"']),
            ("-- a; b\nselect 1 /* ; /* ; */ ; */ ; select 2 -- end;", ["select 1", "select 2"]),
            ("select $$ ; $$; select $a$ $$ ; $$ $a$", ["select $$ ; $$", "select $a$ $$ ; $$ $a$"]),
            (r"select E'\';'; select 'it''s;'", [r"select E'\';'", "select 'it''s;'"]),
            ("create rule r as on delete to t do (select 1; select 2); select 3", 2),
            (
                "create function f() returns int begin atomic select case when a then 1 end; select 2; end; select 3",
                2,
            ),
            ("select a$b$c from t; select 1", ["select a$b$c from t", "select 1"]),
            (" ;; \n", []),
        ],
    )
    def test_a_script_is_split_where_psql_would(self, text: str, expected: list[str] | int) -> None:
        found = [statement.text for statement in postgres_script.statements(text)]
        assert (len(found) if isinstance(expected, int) else [one.rstrip() for one in found]) == expected

    def test_a_statement_knows_its_line(self) -> None:
        found = postgres_script.statements("-- header\n\nselect 1;\n/* x */ select\n 2;\n")
        assert [statement.line for statement in found] == [3, 4]

    @settings(deadline=None)
    @given(
        st.lists(
            st.sampled_from(["select 1", "select ';'", "do $$ a; b $$", 'select ";"', "x /* ; */ y", "a -- ;\n b"])
        )
    )
    def test_joined_statements_come_apart_again(self, parts: list[str]) -> None:
        assert [statement.text for statement in postgres_script.statements(";\n".join(parts))] == parts

    @settings(deadline=None)
    @given(st.text())
    @example("/* never closed")
    @example("'never closed")
    def test_any_text_is_read_to_its_end(self, text: str) -> None:
        postgres_script.statements(text)
        postgres_script.names(text)

    def test_names_are_found_wherever_they_hide(self) -> None:
        found = postgres_script.names(
            """-- comment_name\nalter table Orders add x int; do $$ update "Odd" set a = 1 $$"""
        )
        assert {"orders", "Odd", "x"} <= found
        assert "comment_name" not in found
