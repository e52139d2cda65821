"""A restored backup is brought up to what the living database holds, while that one is written to; nothing is lost."""

import os
import signal
import time
from collections.abc import Iterator
from multiprocessing import get_context

import psycopg
import pytest

from adapters.postgres_end import End
from adapters.postgres_restored import progress_of
from domain.errors import Refused, Rejected, Unavailable
from tests.adapters.replaying import Restoring, writing
from tests.adapters.shop import Shop, migrate, step

pytestmark = pytest.mark.real


@pytest.fixture
def place(shop: Shop) -> Iterator[Restoring]:
    place = Restoring(shop)
    yield place
    with psycopg.connect(shop.superuser, autocommit=True) as link:
        link.execute(f'drop database if exists "{place.name}" with (force)'.encode())


class TestUnderLoad:
    def test_no_row_is_lost_and_both_are_equal(self, place: Restoring) -> None:
        with writing(place.shop) as done:
            time.sleep(0.3)
            place.back_up()
            time.sleep(1.0)
            before = done[0]
            report = place.restore(keep_frozen=True)
            assert done[0] > before  # it was written to all the while
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match=f"{place.name} has taken"):
                place.shop.execute("delete from lines")
            wait = done[0]
        place.insist_same()
        assert wait == done[0]
        assert report.keys > 100
        assert report.lost == 0
        assert report.compared == ("public.Orders", "public.customers", "public.events", "public.lines", "public.tree")

    def test_what_follows_goes_on_where_the_living_one_stopped(self, place: Restoring) -> None:
        place.back_up()
        for n in range(50):
            place.shop.execute(f"insert into customers (email) values ('later{n}')")
        place.shop.execute("select setval('\"Orders_Id_seq\"', 5000)")
        place.restore(keep_frozen=True)
        assert place.copy.execute("insert into customers (email) values ('next') returning id") == [(251,)]
        assert place.copy.execute('insert into "Orders" (customer) values (251) returning "Id"') == [(5001,)]


class TestAfterwards:
    def test_the_schema_is_that_of_the_backup_and_nothing_of_the_capture_is_there(self, place: Restoring) -> None:
        place.shop.execute("grant select on customers to poor")
        before = place.shop.database.fingerprint()
        place.back_up()
        change = "alter table customers add column phone text; create table phones (id int primary key)"
        migrate(place.shop.database, step(2, f'{change}; drop trigger loud on "Orders"'))
        place.shop.execute("insert into customers (email, phone) values ('n', '1'); insert into phones values (1)")
        report = place.restore()
        copy = place.copy
        assert copy.database.fingerprint() == before
        assert [row.number for row in copy.database.applied()] == [1]
        assert copy.database.token() == 3
        assert report.left_behind == ("public.phones", "public.customers.phone")
        assert copy.execute("select to_regnamespace('interlock_capture')") == [(None,)]

    def test_the_living_database_is_written_to_again_unless_it_is_to_stay_shut(self, place: Restoring) -> None:
        place.back_up()
        place.restore()
        place.shop.execute("insert into customers (email) values ('still open')")

    def test_the_caller_switches_while_nobody_writes(self, place: Restoring) -> None:
        place.back_up()
        seen = []

        def switch(copy: End) -> None:
            with place.shop.session(lock_timeout="100ms") as writer:
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    writer.execute("insert into customers (email) values ('too late')")
                seen.append(writer.execute("select count(*) from customers").fetchall())
            place.insist_same()

        place.restore(switch=switch)
        assert seen == [[(200,)]]

    def test_a_switch_that_takes_too_long_fails_and_the_freeze_is_over(self, place: Restoring) -> None:
        place.back_up()

        def switch(copy: End) -> None:
            with place.shop.session(lock_timeout="20s") as writer:
                writer.execute("insert into customers (email) values ('as soon as it is let')")

        with pytest.raises(Unavailable, match="broke off"):
            place.restore(switch=switch, freeze=1.0)
        assert place.restore().keys == 1
        place.insist_same()

    def test_a_switch_that_fails_leaves_the_living_database_open(self, place: Restoring) -> None:
        place.back_up()

        def switch(copy: End) -> None:
            raise Rejected("the router said no")

        with pytest.raises(Rejected, match="the router said no"):
            place.restore(switch=switch, keep_frozen=True)
        place.shop.execute("insert into customers (email) values ('open')")
        assert place.restore().keys == 1
        place.insist_same()


class TestTransactionsUnderWay:
    def test_one_that_had_written_before_the_snapshot_and_committed_after_it(self, place: Restoring) -> None:
        with place.shop.session() as writer:
            writer.execute("begin")
            writer.execute("insert into customers (email) values ('in flight')")
            writer.execute('update "Orders" set cents = -1 where "Id" = 5')
            place.shop.execute("insert into tree values (1000)")  # began later, and is in the backup
            place.back_up()
            assert place.backup.snapshot.rpartition(":")[2]
            writer.execute("commit")
        assert place.restore().keys == 2
        place.insist_same()

    def test_one_that_commits_between_two_passes(self, place: Restoring) -> None:
        place.back_up()
        with place.shop.session() as writer:
            writer.execute("begin")
            writer.execute("insert into customers (email) values ('in flight')")

            def say(what: str) -> None:
                if what.startswith("compared"):
                    writer.execute("commit")

            report = place.restore(say=say)
        assert [one.keys for one in report.passes][:3] == [0, 0, 1]
        assert report.keys == 1
        place.insist_same()

    def test_rows_that_swap_a_unique_value_and_parents_that_are_replaced(self, place: Restoring) -> None:
        place.back_up()
        place.shop.execute("begin; update customers set email = 't' where id = 1;"
                           "update customers set email = 'c1@x' where id = 2;"
                           "update customers set email = 'c2@x' where id = 1; commit")  # fmt: skip
        place.shop.execute('update "Orders" set cents = 0 where "Id" <= 10')  # its lines must not go with it
        place.restore()
        place.insist_same()


class TestKilled:
    @pytest.mark.parametrize("when", ["restoring", "replayed", "compared", "validating"])
    def test_the_next_run_goes_on_and_the_living_database_is_untouched(self, place: Restoring, when: str) -> None:
        place.back_up()
        place.shop.execute('delete from "Orders" where "Id" % 3 = 0')

        def say(what: str) -> None:
            if what.startswith(when):
                os.kill(os.getpid(), signal.SIGKILL)

        child = get_context("fork").Process(target=lambda: place.restore(say=say))
        child.start()
        child.join(60)
        assert child.exitcode == -signal.SIGKILL
        place.shop.execute("insert into customers (email) values ('after the kill')")
        assert place.restore().lost == 0
        place.insist_same()

    def test_killed_under_the_freeze_it_lets_go_at_once(self, place: Restoring) -> None:
        place.back_up()
        place.shop.execute('delete from "Orders" where "Id" % 3 = 0')

        def switch(copy: End) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        child = get_context("fork").Process(target=lambda: place.restore(switch=switch, keep_frozen=True))
        child.start()
        child.join(60)
        with place.shop.session(lock_timeout="5s") as writer:
            writer.execute("insert into customers (email) values ('after the kill')")
        before = place.backup.fingerprint
        assert place.restore().lost == 0
        place.insist_same()
        assert place.copy.database.fingerprint() == before

    def test_a_pass_that_fails_has_not_been(self, place: Restoring) -> None:
        place.back_up()
        place.shop.execute("insert into customers (email) values ('first')")

        def say(what: str) -> None:
            if what.startswith("compared"):
                place.shop.execute("alter table customers alter column mood type text")
                place.shop.execute("insert into customers (email, mood) values ('second', 'odd')")

        with pytest.raises(Refused, match=r"customers\.mood was public\.mood and is text"):
            place.restore(say=say)
        assert place.copy.execute("select count(*) from customers") == [(201,)]
        with place.shop.session() as link:
            progress = progress_of(link, place.name)
        assert progress
        assert progress.state == "replaying"
        place.shop.execute("insert into customers (email) values ('still open')")
