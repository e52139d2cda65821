"""Whether private values of a source stand in its copy: sampled there, searched for wherever text can stand."""

from collections import Counter
from collections.abc import Iterator
from typing import LiteralString

from psycopg import sql

from adapters.postgres_catalog import Link
from adapters.postgres_subset import Kept, chosen, only, relation
from domain.data.needle import Needles, variants
from domain.data.policy import Policy
from domain.data.rule import Card, Keep
from domain.data.shape import Column, Shape, Table
from domain.data.stamp import Finding

_CHUNK = 1 << 20  # bytes
_WORDLESS = {"boolean", "date", "uuid"}
# The same seed picks the same values; a hash's order is as good as chance.
_SAMPLE: LiteralString = """
select v from (select distinct {value} as v from {only} {table} t {strings} where {chosen}) q
where octet_length(v) >= {shortest} order by hashtextextended(v, {seed}) limit {sample}
"""
_STRINGS: LiteralString = """, jsonb_path_query(t.{}::jsonb, 'strict $.** ? (@.type() == "string")') s"""


def sample(link: Link, policy: Policy, shape: Shape, kept: Kept) -> Needles:
    """Take values from every private column, inside a snapshot of the source: those of rows that are copied."""
    values: dict[bytes, str] = {}
    for name, table in shape.tables.items():
        for column in table.written:
            if _private(policy, name, column):
                for (value,) in link.execute(_sampling(policy, shape, table, column, kept)).fetchall():
                    for said in variants(value):
                        values.setdefault(_as_copied(said), f"{name}.{column.name}")
    return Needles(values)


def search(link: Link, shape: Shape, needles: Needles, policy: Policy) -> tuple[Finding, ...]:
    """Look for values in the copy, in every column that can hold text; accepted columns are left out."""
    found: Counter[tuple[str, str]] = Counter()
    for name, table in shape.tables.items():
        columns = [
            column.name
            for column in table.columns
            if column.family not in _WORDLESS and f"{name}.{column.name}" not in policy.scan.accept
        ]
        if columns and len(needles):
            for text in _texts(link, shape, table, columns):
                for at, origin in needles.found(text):
                    column = columns[text.count(b"\t", text.rfind(b"\n", 0, at) + 1, at)]
                    found[f"{name}.{column}", origin] += 1
    return tuple(
        Finding(column=column, origin=origin, times=times) for (column, origin), times in sorted(found.items())
    )


def _private(policy: Policy, table: str, column: Column) -> bool:
    """Tell whether a column's values are ones to look for; a masked number or date is no name, mail or card.

    A table whose rows stay behind may say so of its columns, too: then nobody else may hold their values either.
    """
    rule = policy.table(table).columns.get(column.name)
    if rule is None or isinstance(rule, Keep):
        return False
    return column.family in ("text", "json") or isinstance(rule, Card)


def _sampling(policy: Policy, shape: Shape, table: Table, column: Column, kept: Kept) -> sql.Composed:
    leaves = column.family == "json"
    name = sql.Identifier(column.name)
    return sql.SQL(_SAMPLE).format(
        value=sql.SQL("s #>> '{{}}'" if leaves else "t.{}::text").format(name),
        strings=sql.SQL(_STRINGS).format(name) if leaves else sql.SQL(""),
        only=only(shape, table.name),
        table=relation(table.name),
        chosen=chosen(table.name, kept),
        shortest=policy.scan.shortest,
        seed=policy.seed,
        sample=policy.scan.sample,
    )


def _texts(link: Link, shape: Shape, table: Table, columns: list[str]) -> Iterator[bytes]:
    """Read whole rows as COPY writes them: cells between tabs, a line break after each row."""
    cells = sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(column)) for column in columns)
    query = sql.SQL("copy (select {} from {} {} t) to stdout").format(
        cells, only(shape, table.name), relation(table.name)
    )
    held, size = [], 0
    with link.cursor().copy(query) as rows:
        for row in rows:
            held.append(bytes(row))
            size += len(row)
            if size > _CHUNK:
                yield b"".join(held)
                held, size = [], 0
    yield b"".join(held)


def _as_copied(value: str) -> bytes:
    """Write a value as COPY does."""
    for plain, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\b", "\\b"), ("\f", "\\f")):
        value = value.replace(plain, written)
    return value.replace("\v", "\\v").encode()
