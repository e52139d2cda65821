"""A backfill goes batch by batch: it comes to an end, goes on after a death, and keeps nobody waiting."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from adapters.postgres_batches import rows
from domain.errors import Conflict, Rejected
from domain.ports import Database
from domain.schema.migration import Migration, read
from tests.adapters.shop import ORDERS, Shop, copied, migrate, wait_until
from tests.adapters.zombie import Zombie

TAKE = "select id from orders where note = 'old' order by id limit :batch for update skip locked"


def fill(to: str = "'new'", take: str = TAKE, batch: int = 10, pause: str = "1ms") -> Migration:
    head = f"-- interlock: phase=migrate batch={batch} pause={pause} timeout=10s\n"
    files = {"0001_x.up.sql": "", "0002_fill.up.sql": f"{head}update orders set note = {to} where id in ({take})"}
    return read(files)[1]


def orders(count: int) -> str:
    return "insert into orders values " + ", ".join(f"({number}, 'old')" for number in range(1, count + 1))


BATCHES = "select state, statements, release from interlock_migrations where number = 2"
LEFT = "select count(*) from orders where note = 'old'"


class TestContract:
    @pytest.mark.parametrize("count", [0, 9, 10, 95])
    def test_every_row_is_filled_once(self, subject: tuple[Database, Any], count: int) -> None:
        database, execute = subject
        migrate(database, ORDERS)
        execute(orders(count)) if count else None
        assert migrate(database, fill("note || '!'", TAKE)).number == 2
        assert execute("select count(*) from orders where note <> 'old!'") == [(0,)]
        assert [row.number for row in database.applied()] == [1, 2]

    def test_a_statement_that_never_ends_is_stopped(self, subject: tuple[Database, Any]) -> None:
        database, execute = subject
        migrate(database, ORDERS)
        execute(orders(30))
        with pytest.raises(Rejected, match=r"0002_fill.*condition never becomes empty"):
            migrate(database, fill("note"))
        assert [row.number for row in database.applied()] == [1]
        assert migrate(database, fill()).number == 2, "the script may be mended, since it is not applied"

    def test_a_batch_that_fails_leaves_the_ones_before_it(self, subject: tuple[Database, Any]) -> None:
        database, execute = subject
        migrate(database, ORDERS)
        execute(orders(30))
        with pytest.raises(Rejected, match=r"(?i)0002_fill.*null.*batches .*stay done"):
            migrate(database, fill("case when id <= 25 then 'new' end"))
        assert execute(LEFT) == [(10,)]
        assert [row.number for row in database.applied()] == [1]
        assert migrate(database, fill()).number == 2
        assert execute(LEFT) == [(0,)]

    def test_a_newer_owner_is_not_written_over(self, subject: tuple[Database, Any]) -> None:
        database, execute = subject
        migrate(database, ORDERS)
        execute(orders(30))
        database.claim(7)
        with pytest.raises(Conflict, match="token 7; mine is 6"):
            migrate(database, fill(), token=6)
        assert execute(LEFT) == [(30,)]

    def test_on_a_copy_it_goes_batch_by_batch_too(self, subject: tuple[Database, Any]) -> None:
        database, execute = subject
        migrate(database, ORDERS)
        execute(orders(95))
        with copied(database) as clone:
            cost = clone.run(fill().sql, transactional=True, timeout=10.0, batch=10)
            assert cost.batches == 10
            assert clone.run(fill().sql, transactional=True, timeout=10.0, batch=10).batches == 0, "all is done"
            with clone.undone(), pytest.raises(Rejected, match=r"line 2: .*never becomes empty"):
                clone.run(fill("note", TAKE.replace("old", "new")).sql, transactional=True, timeout=10.0, batch=10)
        assert execute(LEFT) == [(95,)]


@pytest.mark.real
class TestPostgres:
    @pytest.fixture
    def shop(self, shop: Shop) -> Shop:
        migrate(shop.database, ORDERS)
        shop.execute(orders(95))
        return shop

    def test_progress_is_in_its_row(self, shop: Shop) -> None:
        migrate(shop.database, fill(), release="shop-1.1.0")
        assert shop.execute(BATCHES) == [("applied", 10, "shop-1.1.0")]

    def test_no_more_rows_are_locked_at_a_time_than_a_batch_has(self, shop: Shop) -> None:
        """Whoever writes to any other row goes on at once, and to these after the batch at the latest."""
        free = "select count(*) from (select 1 from orders for update skip locked) _"
        during = []
        with shop.session() as user, ThreadPoolExecutor(1) as pool:
            going = pool.submit(migrate, shop.database, fill("(select 'new' from pg_sleep(0.05))"), lock_budget=60.0)
            while not going.done():
                [[done]] = user.execute("select coalesce(max(statements), 0) from interlock_migrations").fetchall()
                during.append((done, user.execute(free).fetchall()[0][0]))
            going.result()
        under_way = [count for done, count in during if 0 < done < 10]
        assert len({done for done, _ in during}) > 3, "it was looked at between many batches"
        assert min(under_way) == 85
        assert min(count for _, count in during) == 85

    def test_a_row_that_a_user_holds_is_passed_over_and_filled_when_it_is_free(self, shop: Shop) -> None:
        with shop.session() as user, ThreadPoolExecutor(1) as pool:
            user.execute("begin")
            user.execute("update orders set note = note where id = 1")
            going = pool.submit(migrate, shop.database, fill(), lock_budget=60.0)
            wait_until(lambda: shop.execute(LEFT) == [(1,)])
            time.sleep(0.3)
            assert not going.done(), "a row that is locked is not done"
            user.execute("commit")
            going.result(timeout=30)
        assert shop.execute(LEFT) == [(0,)]

    def test_a_row_that_stays_locked_is_told_with_its_holder(self, shop: Shop) -> None:
        with shop.session("nightly-report") as user, user.transaction():
            user.execute("select * from orders where id = 95 for update")
            with pytest.raises(Rejected, match=r"(?s)no lock within.*first 10 batches stay done.*nightly-report"):
                migrate(shop.database, fill(), lock_budget=1.0)
        assert shop.execute(BATCHES) == []
        assert shop.execute(LEFT) == [(1,)]

    def test_what_a_user_writes_meanwhile_is_not_overwritten(self, shop: Shop) -> None:
        stop = threading.Event()

        def write() -> int:
            count = 0
            with shop.session() as user:
                while not stop.is_set() and count < 95:
                    count += 1
                    user.execute("update orders set note = 'user' where id = %s", (96 - count,))
            return count

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            try:
                migrate(shop.database, fill(batch=3), lock_budget=60.0)
            finally:
                stop.set()
            written = writing.result()
        assert shop.execute("select count(*) from orders where note = 'user'") == [(written,)]
        assert shop.execute(LEFT) == [(0,)]

    def test_a_long_reader_does_not_keep_it_out(self, shop: Shop) -> None:
        with shop.session("nightly-report") as reader, reader.transaction():
            reader.execute("select * from orders")
            time.sleep(0.3)
            assert migrate(shop.database, fill(), lock_budget=1.0).number == 2

    def test_a_budget_is_for_one_batch(self, shop: Shop) -> None:
        """A table that is locked again and again, each time for less than the budget, costs time and no more."""
        done = "select coalesce(max(statements), 0) from interlock_migrations"
        with shop.session() as other, ThreadPoolExecutor(1) as pool:
            going = pool.submit(migrate, shop.database, fill(pause="200ms"), lock_budget=2.0)
            for batches in range(1, 7):
                wait_until(lambda least=batches: shop.execute(done)[0][0] >= least)
                with other.transaction():
                    other.execute("lock table orders in share mode")
                    time.sleep(0.5)
            assert going.result(timeout=30).number == 2
        assert shop.execute("select attempts >= 12 + 6 from interlock_migrations where number = 2") == [(True,)]

    def test_one_that_was_killed_is_followed_by_whoever_comes_next(self, shop: Shop) -> None:
        zombie = Zombie("migrate", "_count 4", 5, shop.dsn, fill().model_dump_json())
        assert shop.execute(BATCHES) == [("running", 3, "zombie")]
        assert shop.execute(LEFT) == [(65,)]
        assert migrate(shop.database, fill(), token=7, release="newer", lock_budget=30.0).release == "newer"
        assert shop.execute(BATCHES) == [("applied", 10, "newer")]
        assert "token 7; mine is 5" in zombie.wake().splitlines()[-1]

    def test_one_that_was_killed_may_be_mended(self, shop: Shop) -> None:
        zombie = Zombie("migrate", "_count 4", 5, shop.dsn, fill().model_dump_json())
        migrate(shop.database, fill("'newer'", batch=30), token=7, release="newer", lock_budget=30.0)
        assert shop.execute(BATCHES) == [("applied", 3, "newer")]
        assert shop.execute("select note, count(*) from orders group by 1 order by 1") == [("new", 30), ("newer", 65)]
        assert "token 7; mine is 5" in zombie.wake().splitlines()[-1]
        with pytest.raises(Conflict, match="applied another script"):
            migrate(shop.database, fill("'newest'"), token=7)

    def test_the_time_outs_of_a_batch_do_not_count_where_rows_are_counted(self, shop: Shop) -> None:
        shop.execute("create table many as select n from generate_series(1, 300000) n")
        [[table]] = shop.execute("select 'many'::regclass::oid")
        with shop.session(statement_timeout="1ms") as link:
            assert rows(link, [table]) == 300_000
            assert link.execute("show statement_timeout").fetchone() == ("1ms",)

    def test_an_owner_who_is_overtaken_stops_after_its_batch(self, shop: Shop) -> None:
        with ThreadPoolExecutor(1) as pool:
            older = pool.submit(migrate, shop.database, fill(pause="300ms"), token=5)
            wait_until(lambda: shop.execute(BATCHES)[:1] and shop.execute(BATCHES)[0][1] > 1)
            shop.database.claim(7)
            with pytest.raises(Conflict, match=r"batches stay done; .*token 7; mine is 5"):
                older.result()
        [(state, batches, _)] = shop.execute(BATCHES)
        assert (state, shop.execute(LEFT)) == ("running", [(95 - 10 * batches,)])

    def test_a_pause_outlasts_the_server_s_patience_with_who_says_nothing(self, shop: Shop) -> None:
        """Five seconds of silence end a migrator's session; a pause is no silence."""
        slow = fill(batch=90, pause="6s")
        assert migrate(shop.database, slow, lock_timeout=0.01).number == 2
