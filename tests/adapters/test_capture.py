"""Every row that is written is noted down by its key, in the transaction that writes it, and nobody else notices."""

from collections.abc import Iterator

import psycopg
import pytest

from adapters import postgres_capture as capture
from adapters.postgres_catalog import Link
from adapters.postgres_errand import Manners
from domain.errors import Refused, Rejected
from tests.adapters.shop import ORDERS, Shop, migrate

pytestmark = pytest.mark.real

QUICK = Manners(token=3, lock_budget=1.0)
LINES = 'create table "Order Lines" ("Order" bigint, line int, sku text, primary key ("Order", line))'


@pytest.fixture
def link(shop: Shop) -> Iterator[Link]:
    migrate(shop.database, ORDERS)
    with shop.session("capture") as link:
        yield link


def marks(shop: Shop) -> list[tuple[str, object]]:
    return sorted(shop.execute("select tbl, pk from interlock_capture.dirty"), key=str)


def now(shop: Shop) -> str:
    return str(shop.execute("select pg_current_snapshot()::text")[0][0])


class TestWhatIsNotedDown:
    def test_inserts_updates_deletes_and_both_keys_of_a_changed_one(self, link: Link, shop: Shop) -> None:
        shop.execute("insert into orders values (1, 'a'), (2, 'b')")
        assert capture.arm(link, QUICK).armed
        shop.execute("insert into orders values (3, 'c')")
        shop.execute("update orders set note = 'x' where id = 1")
        shop.execute("update orders set id = 20 where id = 2")
        shop.execute("delete from orders where id = 3")
        assert marks(shop) == [("public.orders", {"id": it}) for it in (1, 20, 2, 3, 3)]  # as text

    def test_each_row_counts_once_however_often_it_was_written(self, link: Link, shop: Shop) -> None:
        capture.arm(link, QUICK)
        shop.execute("insert into orders values (1, 'a')")
        before = now(shop)
        for note in "xyz":
            shop.execute(f"update orders set note = '{note}'")
        assert capture.state(link, before).changed == 1
        assert capture.state(link, now(shop)).changed == 0

    def test_a_transaction_that_was_under_way_at_the_snapshot_counts(self, link: Link, shop: Shop) -> None:
        capture.arm(link, QUICK)
        with shop.session() as writer:
            writer.execute("begin")
            writer.execute("insert into orders values (1, 'a')")
            snapshot = now(shop)
            writer.execute("commit")
        assert capture.state(link, snapshot).changed == 1

    def test_what_is_rolled_back_was_never_written(self, link: Link, shop: Shop) -> None:
        capture.arm(link, QUICK)
        with shop.session() as writer, writer.transaction(force_rollback=True):
            writer.execute("insert into orders values (1, 'a')")
        assert marks(shop) == []

    def test_truncate_is_told_though_it_names_no_rows(self, link: Link, shop: Shop) -> None:
        capture.arm(link, QUICK)
        before = now(shop)
        shop.execute("truncate orders")
        assert capture.state(link, before).tables["public.orders"].truncated
        assert not capture.state(link, now(shop)).tables["public.orders"].truncated

    @pytest.mark.parametrize(
        ("kind", "first", "second"),
        [
            ("uuid", "'6f1c0a5e-0000-4000-8000-000000000001'", "'6f1c0a5e-0000-4000-8000-000000000002'"),
            ("timestamptz", "'2024-03-31 02:30:00.123456+01'", "'infinity'"),
            ("date", "'0044-03-15 BC'", "'2024-02-29'"),
            ("float8", "0.1::float8 + 0.2::float8", "'NaN'"),
            ("numeric", "123456789012345678901234567890.10", "-0.00000001"),
            ("bytea", r"'\x00ff27'", r"'\x'"),
            ("interval", "'-1 day 02:03:04'", "'1 year -3 days'"),
            ("inet", "'10.1.2.3/8'", "'::1'"),
            ("int[]", "'{1,2}'", "'{}'"),
            ("tstzrange", "'[2024-01-02 03:04:05+00,)'", "'empty'"),
            ("char(5)", "'ab'", "''"),
            ("mood", "'so ''so'''", "'good'"),
            ("email", "'a@b'", "'\"quoted\"@c'"),
            ("text", r"'back\slash ''quote'' $mark$ ✓'", "''"),
        ],
    )
    def test_a_key_of_any_type_is_read_back_as_it_was(
        self, link: Link, shop: Shop, kind: str, first: str, second: str
    ) -> None:
        shop.execute("create type mood as enum ('so ''so''', 'good'); create domain email as text check (value ~ '@')")
        shop.execute(f'create table "a ""b""" ("the key" {kind} primary key)')
        capture.arm(link, QUICK)
        before = now(shop)
        odd = {"datestyle": "SQL, DMY", "intervalstyle": "sql_standard", "extra_float_digits": "-10"}
        with shop.session(**odd, bytea_output="escape", timezone="Asia/Kathmandu", search_path="") as writer:
            writer.execute(f'insert into public."a ""b""" values ({first}), ({second})')
            writer.execute(f'update public."a ""b""" set "the key" = "the key" where "the key" = {first}')
        assert capture.state(link, before).changed == 2
        from adapters.postgres_keys import keyed, marked  # noqa: PLC0415  # the one test that looks inside

        shop_keys = keyed(link)['public.a "b"']
        same = (
            f'select count(*) from ({marked(shop_keys, before).as_string(link)}) k join "a ""b""" t using ("the key")'
        )
        assert shop.execute(same) == [(2,)]

    def test_keys_of_several_columns_and_quoted_names(self, link: Link, shop: Shop) -> None:
        shop.execute(LINES)
        capture.arm(link, QUICK)
        shop.execute("insert into \"Order Lines\" values (7, 1, 'x')")
        assert marks(shop) == [("public.Order Lines", {"Order": 7, "line": 1})]

    def test_partitions_belong_to_their_table_also_those_that_come_later(self, link: Link, shop: Shop) -> None:
        shop.execute("create table p (id int, at int, primary key (id, at)) partition by range (at)")
        shop.execute("create table p1 partition of p for values from (0) to (10)")
        state = capture.arm(link, QUICK)
        assert state.armed
        assert set(state.tables) == {"public.orders", "public.p"}
        shop.execute("create table p2 partition of p for values from (10) to (20)")
        shop.execute("insert into p values (1, 1), (2, 12); insert into p1 values (3, 3)")
        shop.execute("update p set at = 15 where id = 1")
        assert [pk for _, pk in marks(shop)] == [
            {"at": 1, "id": 1}, {"at": 1, "id": 1}, {"at": 12, "id": 2}, {"at": 15, "id": 1}, {"at": 3, "id": 3},
        ]  # fmt: skip
        assert capture.state(link).armed
        before = now(shop)
        shop.execute("truncate p1")
        assert capture.state(link, before).tables["public.p"].truncated

    def test_rows_that_go_with_others_by_a_foreign_key(self, link: Link, shop: Shop) -> None:
        shop.execute("create table notes (id int primary key, o int references orders on delete cascade)")
        shop.execute("insert into orders values (1, 'a'); insert into notes values (5, 1)")
        capture.arm(link, QUICK)
        shop.execute("delete from orders")
        assert marks(shop) == [("public.notes", {"id": 5}), ("public.orders", {"id": 1})]

    def test_whoever_may_write_needs_no_right_on_the_capture(self, link: Link, shop: Shop) -> None:
        capture.arm(link, QUICK)
        shop.execute(f'grant insert on orders to poor; grant connect on database "{shop.name}" to poor')
        with psycopg.connect(shop.dsn.replace("shop:p%40ss%3Aw%2Frd%20shop", "poor:poor-password")) as poor:
            assert poor.execute("select current_user").fetchall() == [("poor",)]
            poor.execute("insert into orders values (9, 'by somebody else')")
        assert marks(shop) == [("public.orders", {"id": 9})]

    def test_what_a_replication_worker_writes_counts(self, link: Link, shop: Shop) -> None:
        capture.arm(link, QUICK)
        superuser = psycopg.conninfo.make_conninfo(shop.superuser, dbname=shop.name)
        with psycopg.connect(superuser, autocommit=True) as worker:
            worker.execute("set session_replication_role = replica")
            worker.execute("insert into orders values (9, 'replicated')")
        assert marks(shop) == [("public.orders", {"id": 9})]


class TestArming:
    def test_tables_without_a_primary_key_are_refused_all_at_once(self, link: Link, shop: Shop) -> None:
        shop.execute("create table log (line text); create table heap (id int unique)")
        with pytest.raises(Refused, match=r"(?s)public\.heap has no primary key.*public\.log has no primary key"):
            capture.arm(link, QUICK)
        assert not capture.exists(link)

    def test_again_it_only_watches_what_is_new(self, link: Link, shop: Shop) -> None:
        capture.arm(link, QUICK)
        shop.execute("insert into orders values (1, 'a')")
        shop.execute(LINES)
        assert capture.state(link).unwatched == ("public.Order Lines",)
        assert not capture.state(link).armed
        snapshot = now(shop)
        watched = capture.arm(link, QUICK)
        assert watched.armed
        assert watched.marks == 1
        seen = capture.state(link, snapshot)
        assert {name: watch.in_time for name, watch in seen.tables.items()} == {
            "public.Order Lines": False,
            "public.orders": True,
        }

    def test_a_trigger_that_somebody_switched_off_is_seen(self, link: Link, shop: Shop) -> None:
        capture.arm(link, QUICK)
        shop.execute("alter table orders disable trigger interlock_capture")
        assert not capture.state(link).armed
        assert capture.arm(link, QUICK).armed

    def test_a_reader_holds_nothing_up(self, link: Link, shop: Shop) -> None:
        with shop.session("a long report") as reader:
            reader.execute("begin")
            reader.execute("select * from orders")
            assert capture.arm(link, QUICK).armed

    def test_behind_a_long_writer_it_gives_up_and_leaves_nothing(self, link: Link, shop: Shop) -> None:
        shop.execute("create table zebras (id int primary key)")
        with shop.session("a long writer") as writer:
            writer.execute("begin")
            writer.execute("insert into zebras values (1)")
            with pytest.raises(Rejected, match=r"(?s)capture of public\.zebras: no lock.*a long writer"):
                capture.arm(link, QUICK)
        assert not capture.exists(link)
        assert shop.execute("select count(*) from pg_trigger where not tgisinternal") == [(0,)]

    def test_disarmed_nothing_is_left_of_it(self, link: Link, shop: Shop) -> None:
        shop.execute("create table p (id int primary key) partition by hash (id)")
        shop.execute("create table p0 partition of p for values with (modulus 1, remainder 0)")
        capture.arm(link, QUICK)
        capture.disarm(link, QUICK)
        capture.disarm(link, QUICK)
        assert not capture.exists(link)
        assert shop.execute("select count(*) from pg_trigger where not tgisinternal") == [(0,)]
        assert shop.execute("select count(*) from pg_proc where proname ~ '^(mark|emptied)_'") == [(0,)]
