"""The locks that the lint claims, held against those that a real PostgreSQL takes."""

import re

import pytest

from domain.schema.change import MODES, STRONG
from domain.schema.classify import classify
from domain.schema.grammar import Fault, parse
from tests.adapters.shop import Shop

pytestmark = pytest.mark.real

SCENE = """
create table products (id int primary key);
create table orders (id int primary key, note text, product int);
create index on_note on orders (note);
create function touch() returns trigger language plpgsql as 'begin return new; end';
create trigger touch before insert on orders for each row execute function touch();
create view names as select note from orders;
create materialized view totals as select count(*) as n from orders;
create unique index on totals (n);
alter table orders add constraint c check (id > 0) not valid;
create table parts (id int) partition by list (id);
create table part (id int);
create schema zz_dropped;
create table third partition of parts for values in (3);
create sequence numbers;
create table mother (note text);
"""
STATEMENTS = [
    "alter table orders add column channel text",
    "alter table orders add column product_id int references products (id)",
    "alter table orders alter column note set not null",
    "alter table orders alter column note set statistics 500",
    "alter table orders set (fillfactor = 90)",
    "alter table orders add constraint f foreign key (product) references products (id) not valid",
    "alter table orders add constraint d check (id < 9) not valid",
    "alter table orders add constraint n not null note not valid",
    "alter table orders validate constraint c",
    "alter table orders drop constraint c",
    "alter table orders disable trigger touch",
    "alter table orders rename column note to remark",
    "alter table orders set schema zz_dropped",
    "alter index on_note rename to by_note",
    "alter table parts attach partition part for values in (1)",
    "alter table parts detach partition third",
    "alter table orders alter column note set storage external",
    "alter table orders alter column note set compression pglz",
    "alter table orders alter column note set (n_distinct = 5)",
    "alter table orders alter column note set default ''",
    "alter table orders alter column note drop default",
    "alter table orders alter column note drop not null",
    "alter table orders alter column id add generated always as identity",
    "alter table orders cluster on on_note",
    "alter table orders set without cluster",
    "alter table orders replica identity full",
    "alter table orders enable always trigger touch",
    "alter table orders inherit mother",
    "alter table orders enable row level security",
    "alter table orders no force row level security",
    "alter table orders owner to current_user",
    "alter table orders add constraint u unique (note)",
    "alter sequence numbers restart with 5",
    "create index i on orders (note)",
    "create table picks (order_id int references orders (id))",
    "create table second partition of parts for values in (2)",
    "create table kind () inherits (orders)",
    "create trigger again before insert on orders for each row execute function touch()",
    "create statistics s on id, note from orders",
    "create or replace view names as select note from orders where id > 0",
    "create policy own on orders using (true)",
    "create rule nothing as on delete to orders do instead nothing",
    "drop index on_note",
    "drop trigger touch on orders",
    "drop view names",
    "drop table orders cascade",
    "truncate orders",
    "delete from orders",
    "update orders set note = ''",
    "insert into orders values (1)",
    "refresh materialized view totals",
    "refresh materialized view concurrently totals",
    "reindex table orders",
    "reindex index on_note",
    "cluster orders using on_note",
    "analyze orders",
    "lock table orders in share row exclusive mode",
    "comment on column orders.note is 'x'",
]
NOT_IN_THE_TEXT = {  # relations that a statement locks and does not name: only a catalog knows them
    "drop index on_note": {"orders"},
    "reindex index on_note": {"orders"},
    "drop table orders cascade": {"names", "totals"},
}
OURS = "select oid, relname, relkind from pg_class where relnamespace = 'public'::regnamespace"
HELD = "select relation, mode from pg_locks where pid = pg_backend_pid() and granted and relation = any(%s)"


@pytest.fixture(scope="module")
def orders(server: str) -> Shop:
    shop = Shop(server)
    shop.execute(SCENE)
    return shop


def spelt(mode: str) -> str:
    """Spell a mode of pg_locks as the manual does: `ShareRowExclusiveLock` is SHARE ROW EXCLUSIVE."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_server_takes_the_locks_that_the_lint_claims(orders: Shop, statement: str) -> None:
    parsed = parse(statement)
    assert not isinstance(parsed, Fault)
    claimed = {lock.relation: lock.mode for change in classify(parsed) for lock in change.locks}
    with orders.session() as link, link.transaction(force_rollback=True):
        kinds = link.execute(OURS).fetchall()
        names, indexes = {oid: name for oid, name, _ in kinds}, {name for _, name, kind in kinds if kind == "i"}
        link.execute(statement.encode())
        held = [(names[oid], spelt(mode)) for oid, mode in link.execute(HELD, [list(names)])]
    strongest = {name: max((mode for at, mode in held if at == name), key=MODES.index) for name, _ in held}
    assert claimed
    assert claimed == {name: strongest.get(name) for name in claimed}
    kept_out = {name for name, mode in strongest.items() if mode in STRONG} - indexes
    assert kept_out - claimed.keys() == NOT_IN_THE_TEXT.get(statement, set())


@pytest.mark.parametrize(
    "action",
    [
        "add column channel text not null default 'web'",
        "add column at timestamptz not null default now()",
        "add column tag uuid default gen_random_uuid()",
        "add column number bigserial",
        "add column number int generated always as identity",
        "add column twice int generated always as (id * 2) stored",
        "add column twice int generated always as (id * 2) virtual",
        "alter column id type bigint",
        "set unlogged",
        "set (fillfactor = 90)",
        "drop column note cascade",
        "alter column note set not null",
    ],
)
def test_a_server_writes_a_table_anew_when_the_lint_says_so(orders: Shop, action: str) -> None:
    parsed = parse(f"alter table orders {action}")
    assert not isinstance(parsed, Fault)
    with orders.session() as link, link.transaction(force_rollback=True):
        link.execute("drop view names; drop materialized view totals; insert into orders values (1, 'x')")
        [before] = link.execute("select pg_relation_filenode('orders')").fetchall()
        link.execute(f"alter table orders {action}".encode())
        [after] = link.execute("select pg_relation_filenode('orders')").fetchall()
    assert [change.rewrites for change in classify(parsed)] == [before != after]
