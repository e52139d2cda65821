"""Tables by their primary keys: what the keys are made of, and which rows a capture has marked."""

from collections import defaultdict
from collections.abc import Mapping
from typing import LiteralString, NamedTuple

from psycopg import sql

from adapters.postgres_catalog import SCOPE, Link, steady
from adapters.postgres_digest import Table
from domain.schema.capture import Layout

# JSON writes these the same way whatever the session's settings are; all others are noted down as text.
_PLAIN = "int2 int4 int8 numeric text varchar uuid bool date timestamp timestamptz"
# `operator` is the equality of the primary key's own index: no search path has a say in it.
_KEYS: LiteralString = """
select r.nspname, r.relname, r.id, r.relkind = 'p', a.attname, format_type(a.atttypid, a.atttypmod),
  case when o.oid is not null then format('operator(%%I.%%s)', s.nspname, o.oprname) end,
  t.typtype = 'e' or t.typnamespace = 'pg_catalog'::regnamespace and t.typname = any(string_to_array(%s, ' '))
from relation r left join (
  pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam and m.amname = 'btree'
  cross join lateral unnest((i.indkey::int2[])[0:i.indnkeyatts - 1], (i.indclass::oid[])[0:i.indnkeyatts - 1])
    with ordinality as k(attnum, opclass, place)
  join pg_opclass c on c.oid = k.opclass
  join pg_amop p on p.amopfamily = c.opcfamily and p.amopstrategy = 3
    and p.amoplefttype = c.opcintype and p.amoprighttype = c.opcintype
  join pg_operator o on o.oid = p.amopopr join pg_namespace s on s.oid = o.oprnamespace
) on i.indrelid = r.id and i.indisprimary
left join pg_attribute a on a.attrelid = r.id and a.attnum = k.attnum left join pg_type t on t.oid = a.atttypid
where r.relkind in ('r', 'p') and not r.relispartition order by r.nspname, r.relname, k.place
"""
_COLUMNS: LiteralString = """
select r.id, a.attname, format_type(a.atttypid, a.atttypmod)
from relation r join pg_attribute a on a.attrelid = r.id and a.attnum > 0 and not a.attisdropped
where r.relkind in ('r', 'p') and not r.relispartition and a.attgenerated = '' order by r.id, a.attnum
"""


class Column(NamedTuple):
    """One column of a primary key; `plain`: its JSON does not depend on a session's settings."""

    name: str
    type: str
    operator: str
    plain: bool


class Keyed(NamedTuple):
    """A table with its partitions as one, its primary key, and all columns that are not generated: name → type."""

    table: Table
    key: tuple[Column, ...]
    columns: dict[str, str]

    @property
    def layout(self) -> Layout:
        """Give what decisions are made from."""
        return Layout(key=tuple(column.name for column in self.key), columns=self.columns)

    @property
    def names(self) -> sql.Composed:
        """List the columns of the key."""
        return sql.SQL(", ").join(sql.Identifier(column.name) for column in self.key)

    def meets(self, left: LiteralString, right: LiteralString) -> sql.Composed:
        """Say that two rows have the same key."""
        return sql.SQL(" and ").join(
            sql.SQL("{}.{} {} {}.{}").format(
                sql.SQL(left), name := sql.Identifier(column.name), sql.SQL(column.operator), sql.SQL(right), name
            )
            for column in self.key
        )


def keyed(link: Link) -> dict[str, Keyed]:
    """Read every table of the application's with its primary key."""
    columns: dict[int, dict[str, str]] = defaultdict(dict)
    found: dict[str, Keyed] = {}
    with steady(link):
        for oid, name, kind in link.execute(SCOPE + _COLUMNS):
            columns[oid][name] = kind
        for schema, name, oid, whole, *column in link.execute(SCOPE + _KEYS, (_PLAIN,)):
            table = Table(schema, name, oid, whole)
            known = found.get(str(table)) or Keyed(table, (), columns[oid])
            more = (Column(*column),) if column[0] is not None else ()
            found[str(table)] = known._replace(key=(*known.key, *more))
    return found


def layouts(tables: Mapping[str, Keyed]) -> dict[str, Layout]:
    """Give what decisions are made from."""
    return {name: table.layout for name, table in tables.items()}


def marked(table: Keyed, since: str) -> sql.Composed:
    """Select the keys that were marked by transactions which a snapshot does not show, each once.

    They are read back by the types of the key, in a steady session. Marks of TRUNCATE name no row.
    """
    cells = sql.SQL(", ").join(
        sql.SQL("(pk ->> {})::{} as {}").format(
            sql.Literal(column.name), sql.SQL(column.type), sql.Identifier(column.name)
        )
        for column in table.key
    )
    return sql.SQL(
        "select distinct {} from interlock_capture.dirty where tbl = {} and pk is not null"
        " and xid >= pg_snapshot_xmin({since}) and not pg_visible_in_snapshot(xid, {since})"
    ).format(cells, sql.Literal(str(table.table)), since=sql.SQL("{}::pg_snapshot").format(sql.Literal(since)))
