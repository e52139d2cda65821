"""A copy to try things on: what runs there is told, what is written there is seen, and nothing else is touched."""

import io
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.postgres import Postgres
from domain.errors import Rejected
from domain.ports import Clone, Database
from domain.schema.change import Lock
from tests.adapters.shop import ORDERS, Shop, migrate

FAST = {"transactional": True, "timeout": 10.0}


@pytest.fixture
def clone(subject: tuple[Database, Any]) -> Iterator[Clone]:
    database, execute = subject
    migrate(database, ORDERS)
    execute("insert into orders values (1, 'first'), (2, 'second')")
    into = io.BytesIO()
    backup = database.backup(into)
    execute("insert into orders values (3, 'not in the backup')")
    into.seek(0)
    with database.clone(into, backup) as clone:
        yield clone


class TestContract:
    def test_it_is_what_was_backed_up(self, clone: Clone) -> None:
        seen = clone.look()
        assert seen.tables["public.orders"].rows == 2
        assert "public.interlock_migrations" not in seen.tables

    def test_what_runs_there_does_not_reach_the_database(self, clone: Clone, subject: tuple[Database, Any]) -> None:
        database, _ = subject
        before = database.fingerprint()
        clone.run("alter table orders add column colour text", **FAST)
        clone.speak("delete from orders", keep=True)
        assert database.fingerprint() == before
        assert dict(database.rows()) == {"public.orders": 3}

    def test_a_schema_that_was_changed_and_changed_back_is_the_one_of_before(self, clone: Clone) -> None:
        before = clone.look()
        clone.run("alter table orders add column colour text", **FAST)
        between = clone.look()
        clone.run("alter table orders drop column colour", **FAST)
        assert between.fingerprint != before.fingerprint
        assert clone.look() == before

    def test_a_column_that_was_dropped_and_added_again_is_empty_though_the_schema_is_the_same(
        self, clone: Clone
    ) -> None:
        clone.run("alter table orders add column colour text", **FAST)
        clone.speak("update orders set colour = 'red'", keep=True)
        before = clone.look()
        clone.run("alter table orders drop column colour", **FAST)
        clone.run("alter table orders add column colour text", **FAST)
        after = clone.look()
        assert after.fingerprint == before.fingerprint
        assert after.tables != before.tables

    def test_rows_that_a_script_wrote_show_in_their_table_and_their_column(self, clone: Clone) -> None:
        before = clone.look()
        clone.run("update orders set note = 'other' where id = 2", **FAST)
        after = clone.look()
        assert after.tables["public.orders"] != before.tables["public.orders"]
        clone.run("update orders set note = 'second' where id = 2", **FAST)
        back = clone.look()
        assert back.tables == before.tables
        assert back.columns["public.orders"]["id"] == after.columns["public.orders"]["id"]
        assert back.columns["public.orders"]["note"] != after.columns["public.orders"]["note"]

    def test_a_script_that_fails_says_where_and_leaves_nothing(self, clone: Clone) -> None:
        before = clone.look()
        with pytest.raises(Rejected, match=r"line 2: .*nonsense"):
            clone.run("delete from orders;\nselect nonsense from orders", **FAST)
        assert clone.look() == before

    def test_statements_are_tried_each_for_itself_and_undone(self, clone: Clone) -> None:
        before = clone.look()
        said = (
            "insert into orders values (7, 'x');\nselect nonsense\n  from orders;\nselect note from orders where id = 7"
        )
        [(what, says)] = clone.speak(said, keep=False)
        assert what == "select nonsense …"
        assert "nonsense" in says
        assert clone.look() == before

    def test_what_statements_wrote_is_kept_when_asked(self, clone: Clone) -> None:
        assert clone.speak("insert into orders values (7, 'x'); select nonsense", keep=True) != ()
        assert clone.look(rows_only=True).tables["public.orders"].rows == 3

    def test_rows_alone_can_be_counted(self, clone: Clone) -> None:
        digest = clone.look(rows_only=True).tables["public.orders"]
        assert (digest.rows, digest.sum, digest.xor) == (2, "", "")

    def test_what_is_undone_leaves_no_trace(self, clone: Clone) -> None:
        before = clone.look()
        with clone.undone():
            clone.run("alter table orders add column colour text", **FAST)
            clone.speak("delete from orders", keep=True)
            assert clone.look().tables["public.orders"].rows == 0
            assert clone.look().fingerprint != before.fingerprint
        after = clone.look()
        assert (after.fingerprint, after.tables) == (before.fingerprint, before.tables)
        clone.speak("update orders set note = 'other'", keep=True)
        assert clone.look().tables != before.tables


@pytest.mark.real
class TestPostgres:
    @pytest.fixture
    def clone(self, shop: Shop) -> Iterator[Clone]:
        shop.execute("create table orders (id bigint generated always as identity primary key, note text, cents int)")
        shop.execute("create table old (id int)")
        shop.execute("insert into orders (note, cents) select 'n' || i, i from generate_series(1, 500) i")
        yield from cloned(shop.database)

    def test_what_it_costs_is_told(self, clone: Clone) -> None:
        light = clone.run("alter table orders add column colour text", **FAST)
        assert light.locks == (Lock(relation="orders", mode="ACCESS EXCLUSIVE"),)
        assert light.rewritten == ()
        heavy = clone.run("alter table orders alter column cents type bigint; create table new (id int)", **FAST)
        assert heavy.rewritten == ("orders",)
        assert {lock.relation for lock in heavy.locks} == {"orders"}  # nobody can wait for what is new
        assert heavy.wal_bytes > light.wal_bytes > 0

    def test_a_table_that_nobody_wrote_to_is_not_digested_again(self, clone: Clone, shop: Shop) -> None:
        known = clone.look().tables
        clone.run("alter table orders add column colour text", **FAST)
        clone.run("alter table orders drop column colour; update old set id = id", **FAST)
        read = "select coalesce(sum(seq_tup_read), 0) from pg_stat_xact_user_tables where relname = 'orders'"
        assert clone.look().tables == known
        assert clone._link.execute(read).fetchall() == [(0,)]  # the subject is what is *not* done

    def test_a_sequence_shows_how_far_it_has_come(self, clone: Clone) -> None:
        assert clone.look().sequences == {"public.orders_id_seq": 500}
        clone.run("alter sequence orders_id_seq restart", **FAST)
        assert clone.look().sequences == {"public.orders_id_seq": 0}

    def test_numbers_that_were_given_out_can_be_given_out_again(self, clone: Clone) -> None:
        before = clone.look().sequences
        rows = []
        for _ in range(2):
            with clone.undone():
                clone.speak("insert into orders (note) values ('next')", keep=True)
                rows.append(clone.look().tables)
            clone.rewind(before)
        assert rows[0] == rows[1]
        clone.rewind({"public.orders_id_seq": 0, "public.gone": 4})
        assert clone.look().sequences == {"public.orders_id_seq": 0}

    def test_a_partitioned_table_is_counted_as_one(self, clone: Clone) -> None:
        parts = "create table p (id int) partition by list (id); create table p1 partition of p for values in (1)"
        clone.run(f"{parts}; insert into p values (1)", **FAST)
        assert "public.p1" in clone.look().tables
        counted = clone.look(rows_only=True)
        assert counted.tables["public.p"].rows == 1
        assert "public.p1" not in counted.tables

    def test_a_script_without_a_transaction_runs_statement_by_statement(self, clone: Clone) -> None:
        script = "create index concurrently on_note on orders (note);\nupdate orders set cents = 0 where id = 1"
        cost = clone.run(script, transactional=False, timeout=10.0)
        assert cost.locks == (Lock(relation="orders", mode="ROW EXCLUSIVE"),)
        assert "public.orders" in clone.look().columns
        with pytest.raises(Rejected, match=r"line 2: division by zero"):
            clone.run("update orders set cents = 5;\nselect 1 / 0", transactional=False, timeout=10.0)
        assert clone.run("vacuum orders", transactional=False, timeout=10.0).rewritten == ()

    def test_a_statement_that_takes_too_long_fails(self, clone: Clone) -> None:
        with pytest.raises(Rejected, match="statement timeout"):
            clone.run("select pg_sleep(5)", transactional=True, timeout=0.05)

    def test_it_is_gone_afterwards_and_seen_to_be_in_use_before(self, shop: Shop) -> None:
        shop.execute("create table old (id int)")
        copies = cloned(shop.database)
        next(copies)
        assert [it.in_use for it in shop.database.belongings() if it.id in shop.scratch_databases()] == [True]
        copies.close()
        assert shop.scratch_databases() == []


def cloned(database: Postgres) -> Iterator[Clone]:
    into = io.BytesIO()
    backup = database.backup(into)
    into.seek(0)
    with database.clone(into, backup) as clone:
        yield clone
