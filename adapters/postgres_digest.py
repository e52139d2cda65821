"""What is in PostgreSQL's tables: digests that depend on the content alone, and row counts."""

from collections.abc import Mapping, Sequence
from typing import LiteralString, NamedTuple

from psycopg import errors, sql

from adapters.postgres_catalog import SCOPE, Link
from domain.schema.backup import TableDigest

_TABLES: LiteralString = "select nspname, relname, id from relation where relkind = 'r' order by nspname, relname"
# Types whose hash depends on the value alone. All others are hashed as text: an enum, for one, hashes its OID, which
# a restore changes, and json has no hash at all.
_HASHED = (
    "bool int2 int4 int8 float4 float8 numeric text varchar bpchar name uuid date time timetz timestamp timestamptz "
    "interval bytea inet cidr macaddr jsonb"
)
_CELLS: LiteralString = """
select array_agg(format(case
    when coalesce(e.typname, t.typname) = any(string_to_array(%s, ' '))
      and coalesce(e.typnamespace, t.typnamespace) = 'pg_catalog'::regnamespace then 't.%%I'
    else 't.%%I::text' end, a.attname) order by a.attname collate "C")
from pg_attribute a join pg_type t on t.oid = a.atttypid
left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
where a.attrelid = %s and a.attnum > 0 and not a.attisdropped and (%s::text[] is null or a.attname = any(%s))
"""
_NAMES: LiteralString = """
select attname from pg_attribute where attrelid = %s and attnum > 0 and not attisdropped order by attname collate "C"
"""

_SEQUENCES: LiteralString = """
select n.nspname || '.' || c.relname, coalesce(pg_sequence_last_value(c.oid), 0) * sign(q.seqincrement)::bigint
from pg_sequence q join pg_class c on c.oid = q.seqrelid join pg_namespace n on n.oid = c.relnamespace
"""


_REWIND: LiteralString = """
select case %(position)s when 0 then setval(c.oid::regclass, q.seqstart, false)
  else setval(c.oid::regclass, %(position)s * sign(q.seqincrement)::bigint) end
from pg_sequence q join pg_class c on c.oid = q.seqrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname || '.' || c.relname = %(name)s
"""
_ALL = sql.SQL("")  # rows
_ROOTS: LiteralString = """
select nspname, relname, id, relkind = 'p' from relation
where relkind in ('r', 'p') and not relispartition order by nspname, relname
"""


class Table(NamedTuple):
    """One table in the catalog; in words `schema.name`. `whole`: with all that is in its partitions."""

    schema: str
    name: str
    oid: int
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def rows(self) -> sql.Composed:
        """Name its rows in a query: those of its children belong to them."""
        return sql.SQL("" if self.whole else "only ") + sql.Identifier(self.schema, self.name)


def tables(link: Link) -> list[Table]:
    """List the tables that hold rows of the application's."""
    return [Table(*row) for row in link.execute(SCOPE + _TABLES)]


def roots(link: Link) -> list[Table]:
    """List the same tables, each with its partitions as one: rows may move between them."""
    return [Table(*row) for row in link.execute(SCOPE + _ROOTS)]


def digests(link: Link) -> dict[str, TableDigest]:
    """Digest every table's rows inside a snapshot, independent of the order of rows and columns (PostgreSQL ≥ 14)."""
    return {str(table): digest(link, table) for table in tables(link)}


def digest(link: Link, table: Table, columns: Sequence[str] | None = None, among: sql.Composable = _ALL) -> TableDigest:
    """Digest one table's rows inside a snapshot: of some of its columns, or of those rows that a join of `t` leaves."""
    query = sql.SQL(
        "select count(*), coalesce(sum(h), 0)::text, coalesce(bit_xor(h), 0)::text"
        " from (select hash_record_extended(row({cells}), 0) as h from {table} t {among}) q"
    ).format(cells=sql.SQL(", ").join(_cells(link, table, columns)), table=table.rows, among=among)
    [[rows, total, xor]] = link.execute(query).fetchall()
    return TableDigest(rows=rows, sum=total, xor=xor)


def columns(link: Link, table: Table) -> dict[str, TableDigest]:
    """Digest each column of one table by itself; a value has the same hash in a wider type of its kind."""
    names = [name for (name,) in link.execute(_NAMES, (table.oid,))]
    hashes = [f"hash_record_extended(row({cell.as_string(link)}), 0)" for cell in _cells(link, table, None)]
    sums = [f"coalesce(sum({it}), 0)::text, coalesce(bit_xor({it}), 0)::text" for it in hashes]
    query = sql.SQL("select {} from {} t").format(sql.SQL(", ".join(["count(*)", *sums])), table.rows)
    [[rows, *found]] = link.execute(query).fetchall()
    pairs = zip(found[::2], found[1::2], strict=True)
    return {name: TableDigest(rows=rows, sum=total, xor=xor) for name, (total, xor) in zip(names, pairs, strict=True)}


def counts(link: Link) -> dict[str, int]:
    """Count every table's rows inside a snapshot."""
    return {str(table): count(link, table) for table in tables(link)}


def count(link: Link, table: Table) -> int:
    """Count one table's rows."""
    [[rows]] = link.execute(sql.SQL("select count(*) from {}").format(table.rows)).fetchall()
    return int(rows)


def positions(link: Link) -> dict[str, int]:
    """Tell how far each sequence has come, 0 for one that has not begun; no snapshot holds them still."""
    return dict(link.execute(_SEQUENCES).fetchall())


def rewind(link: Link, reached: Mapping[str, int]) -> None:
    """Have sequences stand where they stood, so that they give out the same numbers again; no rollback undoes it."""
    for name, position in reached.items():
        link.execute(_REWIND, {"name": name, "position": position})


def held(link: Link, relation: str, column: str | None) -> int:
    """Count what a table holds, or the values in one of its columns; 0 where there is no such table or column."""
    schema, _, name = relation.rpartition(".")
    if name == "*":
        return sum(count(link, table) for table in tables(link) if table.schema == schema)
    named = sql.Identifier(schema or "public", name)
    what = sql.SQL("count({})").format(sql.Identifier(column)) if column else sql.SQL("count(*)")
    try:
        [[values]] = link.execute(sql.SQL("select {} from {}").format(what, named)).fetchall()
    except (errors.UndefinedTable, errors.UndefinedColumn):
        return 0
    return int(values)


def differences(claimed: Mapping[str, TableDigest], found: Mapping[str, TableDigest]) -> list[str]:
    """Say which tables are not what they were claimed to be."""
    problems = []
    for table in sorted(claimed.keys() | found.keys()):
        want, got = claimed.get(table), found.get(table)
        if want is None or got is None:
            problems.append(f"{table} is {'missing' if want else 'too many'}")
        elif want.rows != got.rows:
            problems.append(f"{table} has {got.rows} rows instead of {want.rows}")
        elif want != got:
            problems.append(f"{table} has other content")
    return problems


def _cells(link: Link, table: Table, columns: Sequence[str] | None) -> list[sql.SQL]:
    """Write what is hashed of each column, in the order of their names."""
    names = None if columns is None else list(columns)
    [[cells]] = link.execute(_CELLS, (_HASHED, table.oid, names, names)).fetchall()
    return [sql.SQL(cell) for cell in cells or ()]
