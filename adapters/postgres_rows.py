"""Rows on their way from a source to its copy: masked by the source itself, so that nothing private arrives."""

from collections.abc import Generator
from contextlib import closing
from typing import LiteralString

from psycopg import sql

from adapters.postgres_catalog import Link
from adapters.postgres_end import End
from adapters.postgres_mask import masked
from adapters.postgres_subset import Kept, chosen, only, relation
from domain.data.policy import Policy
from domain.data.shape import Column, Shape, Table
from domain.data.synthetic import columns as invented
from domain.data.synthetic import rows as invent
from domain.errors import Rejected

_CHUNK = 1 << 18  # bytes: one row at a time would cost more than the row
_REFERRED = 10_000  # rows of another table that synthetic rows refer to, at least
# What COPY writes as text must be read as it was meant.
READ_ALIKE: LiteralString = """
set datestyle = 'ISO'; set timezone = 'UTC'; set intervalstyle = 'postgres'; set synchronous_commit = off
"""


def copy(source: End, reader: Link, writer: Link, table: Table, policy: Policy, shape: Shape, kept: Kept) -> int:
    """Copy the chosen rows of one table, masked; returns how many."""
    columns = table.written
    cells = [masked(table, column, policy.rule(table.name, column.name)) for column in columns]
    out = sql.SQL("select {} from {} {} t where {}").format(
        sql.SQL(", ").join(cells), only(shape, table.name), relation(table.name), chosen(table.name, kept)
    )
    return relay(source, reader, writer, out, table.name, columns)


def relay(
    source: End, reader: Link, writer: Link, query: sql.Composable, name: str, columns: tuple[Column, ...]
) -> int:
    """Carry the rows of a query into a table; binary, unless a type's binary form holds this database's own numbers."""
    form = sql.SQL("binary" if all(column.portable for column in columns) else "text")
    into = sql.SQL("copy {} ({}) from stdin (format {})").format(relation(name), _names(columns), form)
    out = sql.SQL("copy ({}) to stdout (format {})").format(query, form)
    with writer.cursor() as cursor:
        with closing(_read(source, reader, out)) as chunks, cursor.copy(into) as target:
            for chunk in chunks:
                target.write(chunk)
        return cursor.rowcount


def synthesise(writer: Link, policy: Policy, shape: Shape) -> dict[str, int]:
    """Invent rows for the tables that say so, those first that others refer to; returns how many by table."""
    waiting = [name for name in shape.tables if policy.table(name).takes == "synthetic"]
    done: dict[str, int] = {}
    while waiting:
        ready = (name for name in waiting if not {key.target for key in shape.tables[name].keys} & {*waiting} - {name})
        name = next(ready, waiting[0])  # in a circle somebody begins, with NULL for what is not there yet
        waiting.remove(name)
        done[name] = _invent(writer, policy, shape.tables[name])
    return done


def _invent(writer: Link, policy: Policy, table: Table) -> int:
    count = max(policy.table(table.name).synthetic or 0, _REFERRED)
    parents = {}
    for key in table.keys:
        names = [sql.Identifier(name) for name in key.target_columns]
        cells = sql.SQL(", ").join(sql.SQL("{}::text").format(name) for name in names)
        some = sql.SQL("select {} from {} where ({}) is not null order by {} limit {}").format(
            cells, relation(key.target), sql.SQL(", ").join(names), sql.SQL(", ").join(names), count
        )
        parents[key.name] = writer.execute(some).fetchall()
    columns = invented(policy, table)
    into = sql.SQL("copy {} ({}) from stdin").format(relation(table.name), _names(columns))
    try:
        with writer.cursor() as cursor:
            with cursor.copy(into) as target:
                for row in invent(policy, table, parents):
                    target.write_row(row)
            return cursor.rowcount
    except ValueError as error:
        raise Rejected(f"{table.name}: {error}", "ask for fewer synthetic rows") from error


def _names(columns: tuple[Column, ...]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)


def _read(source: End, reader: Link, query: sql.Composed) -> Generator[bytes]:
    held = bytearray()
    with source.telling(reader), reader.cursor().copy(query) as rows:
        for row in rows:
            held += row
            if len(held) >= _CHUNK:
                yield bytes(held)
                held.clear()
        yield bytes(held)
