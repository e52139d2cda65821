"""A service's own migration tool on its database: one contract, then locks and newer owners on a real PostgreSQL."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from adapters.secrets import elsewhere
from domain.errors import Conflict, Invalid, Rejected
from domain.ports import Database
from domain.release.artifact import CommandResult
from domain.schema.migration import Migration
from tests.adapters.shop import ORDERS, Shop, migrate, step, wait_until

UP = step(2, "alter table orders add column extra text", by="tool", transactional=False)


@dataclass
class Hand:
    """A tool whose command lines are SQL, statement by statement, each kept: no tool is more careless."""

    execute: Callable[[str], Any]
    ran: list[str] = field(default_factory=list)

    def run(self, line: str, *, database: str | None = None, revision: str = "", timeout: float) -> CommandResult:
        assert timeout > 0
        self.ran.append(f"{line} on {database} from {revision}" if database else line)
        try:
            for statement in line.split(";"):
                self.execute(statement)
        except Exception as error:  # a tool says that it failed, whatever it was
            return CommandResult(exit_code=1, output=f"it failed: {error}")
        return CommandResult(exit_code=0, output="done\n")


def named(shop: Shop, database: str = "") -> Callable[[str], Any]:
    """Connect for each statement as a container would: with nothing but the URL."""

    def execute(statement: str) -> None:
        with psycopg.connect(elsewhere("", shop.dsn, database), autocommit=True) as link:
            link.execute(statement.encode())

    return execute


class TestContract:
    def test_what_it_did_is_recorded_with_the_schema_that_it_left(self, subject: tuple[Database, Any]) -> None:
        database, execute = subject
        migrate(database, ORDERS)
        row = migrate(database, UP, tool=Hand(execute))
        assert (row.fingerprint, row.checksum, row.number) == (database.fingerprint(), UP.checksum, 2)
        assert database.applied()[-1] == row

    def test_what_was_applied_is_not_run_again(self, subject: tuple[Database, Any]) -> None:
        database, execute = subject
        migrate(database, ORDERS)
        first, again = Hand(execute), Hand(execute)
        assert migrate(database, UP, tool=first) == migrate(database, UP, tool=again)
        assert (first.ran, again.ran) == ([UP.up], [])

    def test_one_that_fails_at_once_leaves_everything_as_before(self, subject: tuple[Database, Any]) -> None:
        database, execute = subject
        migrate(database, ORDERS)
        before, bad = database.fingerprint(), step(2, "alter table nowhere add column x text", by="tool")
        with pytest.raises(Rejected, match="0002_step_2: the tool ended with 1"):
            migrate(database, bad.model_copy(update={"transactional": False}), tool=Hand(execute))
        assert database.fingerprint() == before
        assert [row.number for row in database.applied()] == [1]
        assert not database.begun(bad)

    def test_one_that_fails_part_way_is_known_to_have_begun_and_goes_on_the_next_time(
        self, subject: tuple[Database, Any]
    ) -> None:
        database, execute = subject
        migrate(database, ORDERS)
        half = UP.model_copy(
            update={"up": "create table if not exists one (id int);alter table later add column x text"}
        )
        with pytest.raises(Rejected):
            migrate(database, half, tool=Hand(execute))
        assert database.begun(half)
        execute("create table later (id int)")
        assert migrate(database, half, tool=Hand(execute)).number == 2
        assert not database.begun(half)

    def test_without_an_image_at_hand_nothing_is_done(self, subject: tuple[Database, Any]) -> None:
        database, _ = subject
        with pytest.raises(Invalid, match="0002_step_2 is by tool, and no image is at hand"):
            migrate(database, UP)


@pytest.mark.real
def test_sql_without_a_transaction_that_was_cut_off_is_known_to_have_begun_too(shop: Shop) -> None:
    migrate(shop.database, ORDERS)
    torn = step(2, "alter table orders add column a int;\nselect nonsense", transactional=False)
    assert not shop.database.begun(torn)
    with pytest.raises(Rejected, match="nonsense"):
        migrate(shop.database, torn)
    assert shop.database.begun(torn)
    assert not shop.database.begun(step(2, "select 1", transactional=False))


@pytest.mark.real
def test_one_that_meets_a_lock_is_run_again_until_whoever_holds_it_is_gone(shop: Shop) -> None:
    migrate(shop.database, ORDERS)
    hand = Hand(named(shop))
    with shop.session() as holder, ThreadPoolExecutor(1) as beside:
        holder.execute("begin")
        holder.execute("select from orders")
        row = beside.submit(lambda: migrate(shop.database, UP, tool=hand, lock_budget=60.0))
        wait_until(lambda: len(hand.ran) > 2)
        assert shop.execute("select count(*) from orders") == [(0,)]  # whoever comes meanwhile is not kept waiting
        holder.execute("commit")
        assert row.result().number == 2
    assert shop.execute("select attempts > 2 from interlock_migrations where number = 2") == [(True,)]


@pytest.mark.real
def test_one_that_would_wait_for_a_lock_is_cancelled_and_gives_up_when_its_budget_is_spent(shop: Shop) -> None:
    migrate(shop.database, ORDERS)
    before = shop.database.fingerprint()

    def stubborn(statement: str) -> None:
        with psycopg.connect(shop.dsn, autocommit=True) as link:
            link.execute("set lock_timeout = 0")
            link.execute(statement.encode())

    with shop.session() as holder:
        holder.execute("begin")
        holder.execute("select from orders")
        with pytest.raises(Rejected, match="no lock within the budget"):
            migrate(shop.database, UP, tool=Hand(stubborn), lock_budget=2.0)
    assert shop.database.fingerprint() == before
    assert not shop.database.begun(UP)


@pytest.mark.real
def test_its_sessions_carry_time_outs_and_nothing_of_that_stays(shop: Shop) -> None:
    migrate(shop.database, ORDERS)
    seen = []

    def look(_: str) -> None:
        with psycopg.connect(shop.dsn) as link:
            names = ("lock_timeout", "idle_in_transaction_session_timeout", "application_name")
            seen.extend(link.execute("select current_setting(%s)", (name,)).fetchone() for name in names)

    migrate(shop.database, UP, tool=Hand(look))
    assert seen == [("50ms",), ("5s",), ("interlock-tool",)]
    assert shop.execute("select setconfig from pg_db_role_setting") == []


@pytest.mark.real
def test_a_newer_owner_ends_its_sessions_and_the_older_one_records_nothing(shop: Shop) -> None:
    migrate(shop.database, ORDERS)
    begun = threading.Event()

    def slow(_: str) -> None:
        with psycopg.connect(shop.dsn, autocommit=True) as link:
            begun.set()
            link.execute("select pg_sleep(60)")

    with ThreadPoolExecutor(1) as beside:
        older = beside.submit(lambda: migrate(shop.database, UP, tool=Hand(slow), token=3))
        begun.wait(30)
        wait_until(lambda: shop.execute("select 1 from pg_stat_activity where query = 'select pg_sleep(60)'"))
        shop.database.claim(4)
        with pytest.raises((Conflict, Rejected)):
            older.result(timeout=30)
    assert [row.number for row in shop.database.applied()] == [1]
    assert migrate(shop.database, UP, tool=Hand(named(shop)), token=4).number == 2


@pytest.mark.real
def test_a_copy_in_its_hands_is_digested_anew_and_says_what_it_cost(shop: Shop) -> None:
    migrate(shop.database, ORDERS)
    shop.execute("insert into orders values (1, 'first'), (2, 'second')")
    dump = io.BytesIO()
    backup = shop.database.backup(dump)
    dump.seek(0)
    with shop.database.clone(dump, backup) as clone:

        class OnCopy(Hand):
            def run(self, line: str, **more: Any) -> CommandResult:
                self.execute = named(shop, more["database"])
                return super().run(line, **more)

        hand, before = OnCopy(named(shop)), clone.look()
        cost, said = clone.operate(hand, "alter table orders add column n bigint default random() * 9", timeout=30)
        after = clone.look()
        clone.operate(hand, "update orders set note = 'other' where id = 1", revision="r7", timeout=30)
        with pytest.raises(Rejected, match=r"exit code 1: it failed: .*nowhere"):
            clone.operate(hand, "drop table nowhere", timeout=30)
        changed = clone.look()
    assert (cost.rewritten, said) == (("orders",), "done\n")
    assert "from r7" in hand.ran[1]
    assert before.tables["public.orders"] != after.tables["public.orders"] != changed.tables["public.orders"]
    assert shop.execute("select note from orders where id = 1") == [("first",)]


def test_a_step_by_tool_goes_back_by_the_tool_too() -> None:
    there = Migration(number=2, name="by_tool", up="a up", down="a down", by="tool", transactional=False)
    assert there.undoing
    assert (there.undoing.up, there.undoing.by, there.undoing.down) == ("a down", "tool", None)
