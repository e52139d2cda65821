"""What each statement does, from its text alone; the claimed locks are held against a server in tests/adapters."""

from typing import NamedTuple

import postgast
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.schema.change import Change
from domain.schema.classify import classify
from domain.schema.grammar import Fault, parse

AX, SRX, SUX, RX = "ACCESS EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "ROW EXCLUSIVE"


class Said(NamedTuple):
    """What a statement is expected to be: kind, locks, lossy (L), rewrites (R), not transactional (N), rules."""

    sql: str
    kind: str
    locks: str = ""
    flags: str = ""
    rules: str = ""


TABLE = [
    # What is new.
    Said("create table picks (id int primary key)", "expand"),
    Said("create table picks (id int references orders (id))", "expand", f"{SRX} orders"),
    Said("create table picks (boss int references picks (id))", "expand"),
    Said("create table may partition of orders for values in (5)", "expand", f"{AX} orders"),
    Said("create table old_orders () inherits (orders)", "expand", f"{SUX} orders"),
    Said("create table if not exists picks (id int)", "expand"),
    Said("create table copied as select 1 as one", "expand"),
    Said("create materialized view totals as select 1 as one", "expand"),
    Said("create view names as select 1 as one", "expand"),
    Said("create or replace view names as select 1 as one", "contract", f"{AX} names", rules="replaced"),
    Said("create function one() returns int language sql as 'select 1'", "expand"),
    Said("create or replace function one() returns int language sql as 'select 1'", "contract", rules="replaced"),
    Said("create type mood as enum ('good')", "expand"),
    Said("create domain cents as int check (value >= 0)", "expand"),
    Said("create sequence numbers", "expand"),
    Said("create schema sales", "expand"),
    Said("create extension pgcrypto", "expand"),
    Said("create statistics s on id, note from orders", "expand", f"{SUX} orders"),
    Said(
        "create trigger touch before insert on orders for each row execute function touch()",
        "expand",
        f"{SRX} orders",
        rules="new-trigger",
    ),
    Said("create policy own on orders using (true)", "contract", f"{AX} orders"),
    Said("create rule nothing as on insert to orders do instead nothing", "contract", f"{AX} orders"),
    Said("grant select on orders to report", "expand"),
    # Indexes.
    Said("create index on_note on orders (note)", "expand", "SHARE orders", rules="index-blocks-writes"),
    Said("create index concurrently on_note on orders (note)", "expand", f"{SUX} orders", "N"),
    Said("create unique index u on orders (note)", "contract", "SHARE orders", rules="index-blocks-writes"),
    Said("create unique index concurrently u on orders (note)", "contract", f"{SUX} orders", "N"),
    Said("drop index on_note", "migrate", f"{AX} on_note", rules="drop-index-blocks"),
    Said("drop index concurrently on_note", "migrate", f"{SUX} on_note", "N"),
    Said("reindex table orders", "migrate", "SHARE orders", rules="index-blocks-writes"),
    Said("reindex index on_note", "migrate", f"{AX} on_note", rules="index-blocks-writes"),
    Said("reindex table concurrently orders", "migrate", f"{SUX} orders", "N"),
    # Columns.
    Said("alter table orders add column channel text", "expand", f"{AX} orders"),
    Said("alter table public.orders add column channel text not null default 'web'", "expand", f"{AX} orders"),
    Said("alter table orders add column at timestamptz not null default now()", "expand", f"{AX} orders"),
    Said("alter table orders add column day date default current_date", "expand", f"{AX} orders"),
    Said("alter table orders add column channel text not null", "contract", f"{AX} orders", rules="required-column"),
    Said(
        "alter table orders add column tag uuid default gen_random_uuid()",
        "expand",
        f"{AX} orders",
        "R",
        "volatile-default",
    ),
    Said(
        "alter table orders add column tag timestamptz default clock_timestamp()",
        "expand",
        f"{AX} orders",
        "R",
        "volatile-default",
    ),
    Said("alter table orders add column number bigserial", "expand", f"{AX} orders", "R", "stored-column"),
    Said(
        "alter table orders add column number int generated always as identity",
        "expand",
        f"{AX} orders",
        "R",
        "stored-column",
    ),
    Said(
        "alter table orders add column twice int generated always as (id * 2) stored",
        "expand",
        f"{AX} orders",
        "R",
        "stored-column",
    ),
    Said("alter table orders add column twice int generated always as (id * 2) virtual", "expand", f"{AX} orders"),
    Said("alter table orders add column code text unique", "expand", f"{AX} orders", rules="unique-scan"),
    Said("alter table orders add column n int check (n > 0)", "expand", f"{AX} orders", rules="check-scan"),
    Said(
        "alter table orders add column product int references products (id)",
        "expand",
        f"{AX} orders, {SRX} products",
    ),
    Said("alter table orders drop column note", "contract", f"{AX} orders", "L", "lossy"),
    Said("alter table orders drop column note cascade", "contract", f"{AX} orders", "L", "lossy cascade"),
    Said("alter table orders alter column id type bigint", "contract", f"{AX} orders", "R", "column-type"),
    Said(
        "alter table orders alter column note type varchar(20) using left(note, 20)",
        "contract",
        f"{AX} orders",
        "LR",
        "column-type",
    ),
    Said("alter table orders alter column note set not null", "contract", f"{AX} orders", rules="not-null-scan"),
    Said("alter table orders alter column note drop not null", "expand", f"{AX} orders", rules="loosened"),
    Said("alter table orders alter column note set default ''", "expand", f"{AX} orders"),
    Said("alter table orders alter column note drop default", "contract", f"{AX} orders", rules="drop-default"),
    Said("alter table orders alter column note set statistics 500", "migrate", f"{SUX} orders"),
    # Constraints.
    Said("alter table orders add constraint c check (id > 0)", "contract", f"{AX} orders", rules="check-scan"),
    Said("alter table orders add constraint c check (id > 0) not valid", "contract", f"{AX} orders"),
    Said("alter table orders add constraint n not null note not valid", "contract", f"{AX} orders"),
    Said(
        "alter table orders add constraint f foreign key (product) references products (id)",
        "contract",
        f"{SRX} orders, {SRX} products",
        rules="foreign-key-scan",
    ),
    Said(
        "alter table orders add constraint f foreign key (product) references products (id) not valid",
        "contract",
        f"{SRX} orders, {SRX} products",
    ),
    Said("alter table orders add constraint u unique (note)", "contract", f"{AX} orders", rules="unique-scan"),
    Said("alter table orders add constraint u unique using index u", "contract", f"{AX} orders"),
    Said("alter table orders validate constraint c", "migrate", f"{SUX} orders"),
    Said("alter table orders drop constraint c", "expand", f"{AX} orders", rules="loosened"),
    # What cannot be found any more.
    Said("alter table orders rename column note to remark", "contract", f"{AX} orders", rules="rename"),
    Said("alter table orders rename column note to zz_dropped_note", "contract", f"{AX} orders"),
    Said("alter table orders rename to purchases", "contract", f"{AX} orders", rules="rename"),
    Said("alter table orders set schema archive", "contract", f"{AX} orders", rules="rename"),
    Said("alter table orders set schema zz_dropped", "contract", f"{AX} orders"),
    Said("alter index on_note rename to by_note", "migrate", f"{SUX} on_note"),
    Said("alter type mood rename value 'good' to 'well'", "contract", rules="rename"),
    Said("alter type mood add value 'bad'", "expand", rules="enum-value"),
    Said("drop table orders", "contract", f"{AX} orders", "L", "lossy"),
    Said("drop table orders cascade", "contract", f"{AX} orders", "L", "lossy cascade"),
    Said("drop view names", "contract", f"{AX} names"),
    Said("drop schema sales", "contract", "", "L", "lossy"),
    Said("drop function one(int)", "contract"),
    Said("drop trigger touch on orders", "contract", f"{AX} orders", rules="drop-trigger"),
    Said("alter table orders disable trigger touch", "contract", f"{SRX} orders", rules="drop-trigger"),
    Said("revoke select on orders from report", "contract"),
    # Rows.
    Said("insert into orders (id) values (1)", "data", f"{RX} orders"),
    Said("insert into orders (id) values (1) on conflict (id) do update set note = ''", "data", f"{RX} orders", "L"),
    Said("update orders set note = ''", "data", f"{RX} orders", "L", "mass-update"),
    Said("update orders set note = '' where note is null", "data", f"{RX} orders", "L", "backfill"),
    Said("delete from orders where id < 5", "data", f"{RX} orders", "L", "delete-rows"),
    Said("with gone as (delete from orders returning 1) select 1", "data", f"{RX} orders", "L", "delete-rows"),
    Said("truncate orders", "data", f"{AX} orders", "L", "truncate"),
    Said("select setval('numbers', 7)", "data", "", "L"),
    Said("select setval(pg_get_serial_sequence('orders', 'id'), max(id)) from orders", "data", "", "L"),
    Said("select id into picks from orders", "expand"),
    Said("select id from orders", "migrate", "ACCESS SHARE orders"),
    # Upkeep.
    Said("vacuum full orders", "migrate", f"{AX} orders", "RN", "table-moved"),
    Said("vacuum orders", "migrate", f"{SUX} orders", "N"),
    Said("analyze orders", "migrate", f"{SUX} orders"),
    Said("cluster orders using on_note", "migrate", f"{AX} orders", "R", "table-moved"),
    Said("alter table orders set tablespace fast", "migrate", f"{AX} orders", "R", "table-moved"),
    Said("refresh materialized view totals", "migrate", f"{AX} totals", rules="refresh-blocks-reads"),
    Said("refresh materialized view concurrently totals", "migrate", "EXCLUSIVE totals"),
    Said("lock table orders", "migrate", f"{AX} orders", rules="explicit-lock"),
    Said("lock table orders in share mode", "migrate", "SHARE orders", rules="explicit-lock"),
    Said("comment on column orders.note is 'free text'", "migrate", f"{SUX} orders"),
    # What cannot be told.
    Said("do $$ begin execute 'drop table orders'; end $$", "opaque", rules="opaque"),
    Said("call tidy()", "opaque", rules="opaque"),
    Said("select tidy()", "opaque", rules="opaque"),
    Said("alter system set work_mem = '1GB'", "opaque", "", "N", "opaque"),
    Said("begin", "opaque", rules="own-transaction"),
    Said("set lock_timeout = 0", "opaque", rules="own-transaction"),
    Said("set search_path = sales", "migrate", rules="search-path"),
]


def said(sql: str) -> Said:
    statements = parse(sql)
    assert not isinstance(statements, Fault), statements
    change = next(iter(classify(statements)))
    flags = {"L": change.lossy, "R": change.rewrites, "N": not change.transactional}
    return Said(
        sql,
        change.kind,
        ", ".join(f"{lock.mode} {lock.relation}" for lock in change.locks),
        "".join(letter for letter, true in flags.items() if true),
        " ".join(change.hazards),
    )


@pytest.mark.parametrize("expected", TABLE, ids=lambda one: one.sql[:50])
def test_a_statement_is_read_as_what_it_does(expected: Said) -> None:
    assert said(expected.sql) == expected


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(TABLE), st.data())
def test_comments_blanks_and_case_change_nothing(expected: Said, data: st.DataObject) -> None:
    raw = expected.sql.encode()
    gap = st.sampled_from(
        [" ", "\n", "\t ", " /* alter table x drop y; */ ", " -- drop table z;\n", " /* /* a */ b */ "]
    )
    written = ""
    for token in postgast.scan(expected.sql).tokens:
        word = raw[token.start : token.end].decode()
        plain = word.replace("_", "").isalnum()
        written += data.draw(gap) + (data.draw(st.sampled_from([word.upper(), word.title()])) if plain else word)
    assert said(written) == expected._replace(sql=written)


def changes(script: str) -> tuple[Change, ...]:
    statements = parse(script)
    assert not isinstance(statements, Fault)
    return classify(statements)


def test_nobody_waits_for_a_table_that_the_same_script_created() -> None:
    made, indexed, filled = changes(
        "create table picks (id int);\ncreate index on picks (id);\nupdate picks set id = id + 1"
    )
    assert (made.kind, indexed.kind, filled.kind) == ("expand", "expand", "data")
    assert not indexed.locks + filled.locks
    assert not indexed.hazards + filled.hazards
    assert not filled.lossy


def test_a_table_that_may_have_been_there_is_no_new_one() -> None:
    *_, indexed = changes("create table if not exists picks (id int); create index on picks (id)")
    assert indexed.hazards == ("index-blocks-writes",)


def test_a_constraint_on_a_column_that_the_same_script_added_hurts_no_older_version() -> None:
    _, new = changes("alter table o add column c text; alter table o add constraint x check (c <> '') not valid")
    _, old = changes("alter table o add column c text; alter table o add constraint x check (d <> '') not valid")
    assert (new.kind, old.kind) == ("expand", "contract")


def test_every_action_of_an_alter_table_is_a_change_with_the_line_of_its_statement() -> None:
    found = changes("-- é\n\nalter table o\n  drop column a,\n  add column b int;\n/* x\n*/ drop table p, q;")
    assert [(one.statement, one.line, one.what) for one in found] == [
        (1, 3, "drop column o.a"),
        (1, 3, "add column o.b"),
        (2, 7, "drop table p"),
        (2, 7, "drop table q"),
    ]


@pytest.mark.parametrize(
    ("script", "line"),
    [("select 1;\nselec 2", 2), ("\n\n\\i other.sql", 3), ("select 'ä\n", 1), ("select 1;\n\x00drop table x", 2)],
)
def test_what_is_no_sql_is_told_with_its_line(script: str, line: int) -> None:
    found = parse(script)
    assert isinstance(found, Fault)
    assert found.line == line


def test_what_is_nested_too_deep_to_be_read_is_opaque_and_hides_no_neighbour() -> None:
    deep, gone = changes("select " + " || ".join(["'a'"] * 500) + ";\ndrop table orders")
    assert (deep.kind, deep.hazards) == ("opaque", ("opaque",))
    assert (gone.what, gone.line) == ("drop table orders", 2)


def test_a_script_without_statements_does_nothing() -> None:
    assert changes("-- nothing yet\n") == changes(";;") == ()
