"""What notes a written row down: trigger functions without dynamic SQL, and the script that puts them on one table."""

from collections.abc import Iterator
from typing import LiteralString

from psycopg import sql

from adapters.postgres_catalog import Link
from adapters.postgres_keys import Keyed

HERE: LiteralString = "'interlock_capture.dirty'::pg_catalog.regclass::pg_catalog.oid operator(pg_catalog.=) {here}"
"""True in the database that was armed, and nowhere its dump is restored; it costs nothing: both are constants."""

# No name is looked up along the search path of whoever writes; nothing dynamic, so that the plans are kept.
_MARK: LiteralString = """declare gone jsonb; came jsonb;
begin
  if not {here} then return null; end if;
  if tg_op operator(pg_catalog.<>) 'INSERT' then
    gone := pg_catalog.jsonb_build_object({old});
    insert into interlock_capture.dirty (tbl, pk) values ({name}, gone);
  end if;
  if tg_op operator(pg_catalog.<>) 'DELETE' then
    came := pg_catalog.jsonb_build_object({new});
    if gone is null or came operator(pg_catalog.<>) gone then
      insert into interlock_capture.dirty (tbl, pk) values ({name}, came);
    end if;
  end if;
  return null;
end"""
_EMPTIED: LiteralString = """begin
  if {here} then insert into interlock_capture.dirty (tbl) values ({name}); end if;
  return null;
end"""
_FUNCTION: LiteralString = """
create or replace function {} () returns trigger language plpgsql security definer {} as {};
"""
_SETTINGS: LiteralString = (
    "set datestyle = 'ISO' set intervalstyle = 'postgres' set extra_float_digits = 1 set bytea_output = 'hex'"
)
# ENABLE ALWAYS: also what a replication worker writes counts.
_ROWS: LiteralString = """
create or replace trigger interlock_capture after insert or update or delete on {table}
  for each row execute function {function} ();
alter table {table} enable always trigger interlock_capture;
"""
_WHOLE: LiteralString = """
create or replace trigger interlock_emptied after truncate on {table} for each statement execute function {function} ();
alter table {table} enable always trigger interlock_emptied;
"""
_MEMBERS: LiteralString = """
select format('%%I.%%I', n.nspname, c.relname), c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and (c.oid = %(root)s or c.oid in (select relid from pg_partition_tree(%(root)s)))
order by c.oid
"""


def arming(link: Link, table: Keyed) -> sql.Composed:
    """Write the script that watches one table, with its partitions; run again, it watches what came since."""
    name, oid = sql.Literal(str(table.table)), table.table.oid
    mark, emptied = (sql.Identifier("interlock_capture", f"{verb}_{oid}") for verb in ("mark", "emptied"))
    words = {"here": here(link), "name": name, "old": _key(table, "old"), "new": _key(table, "new")}
    settings = sql.SQL("" if all(column.plain for column in table.key) else _SETTINGS)
    bodies = [sql.Literal(sql.SQL(body).format(**words).as_string(link)) for body in (_MARK, _EMPTIED)]
    root = sql.Identifier(table.table.schema, table.table.name)
    parts = [sql.SQL(part) for part in members(link, table)]
    armed = sql.SQL("insert into interlock_capture.armed (tbl, rel, key) values ({}, {}, {}) on conflict (tbl)"
                    " do update set rel = excluded.rel, key = excluded.key, xid = excluded.xid;")  # fmt: skip
    return sql.Composed(
        [
            sql.SQL(_FUNCTION).format(mark, settings, bodies[0]),
            sql.SQL(_FUNCTION).format(emptied, sql.SQL(""), bodies[1]),
            sql.SQL(_ROWS).format(table=root, function=mark),
            *(sql.SQL(_WHOLE).format(table=member, function=emptied) for member in parts),
            armed.format(name, sql.Literal(oid), sql.Literal([column.name for column in table.key])),
        ]
    )


def here(link: Link) -> sql.Composed:
    """Give the condition that holds in this database only."""
    [[oid]] = link.execute("select 'interlock_capture.dirty'::regclass::oid").fetchall()
    return sql.SQL(HERE).format(here=sql.SQL("{}::pg_catalog.oid").format(sql.Literal(int(oid))))


def members(link: Link, table: Keyed) -> dict[str, int]:
    """List the table and its partitions, it being the first: quoted name → OID."""
    rows = link.execute(_MEMBERS, {"root": table.table.oid}).fetchall()
    return dict(sorted(rows, key=lambda row: bool(row[1] != table.table.oid)))


def _key(table: Keyed, row: LiteralString) -> sql.Composed:
    """Write a key as the arguments of jsonb_build_object."""
    return sql.SQL(", ").join(_cells(table, row))


def _cells(table: Keyed, row: LiteralString) -> Iterator[sql.Composable]:
    for column in table.key:
        yield sql.Literal(column.name)
        value: LiteralString = "{}.{}" if column.plain else "pg_catalog.concat({}.{})"
        yield sql.SQL(value).format(sql.SQL(row), sql.Identifier(column.name))
