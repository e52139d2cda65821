"""Invented rows for a table, from its schema and a seed: no clock, no chance, the same every time."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from uuid import UUID

from domain.data.policy import Policy
from domain.data.pseudonym import days, pseudonym
from domain.data.rule import Constant, Keep, Null, Rule, Shift, Truncate
from domain.data.shape import Column, Table

_NEWEST = date(2025, 1, 1)  # dates lie in the year before it
Cell = str | None
Parents = Mapping[str, Sequence[Sequence[Cell]]]
"""For each foreign key, by name, the rows that it may refer to: their target columns, as text."""


def unmade(column: Column) -> str | None:
    """Say why no value can be invented for a column without a rule; None when one can, or none is needed."""
    if column.nullable or column.default or column.family not in ("other",):
        return None
    return f"no value of {column.type} can be invented; give it a constant, or a default"


def columns(policy: Policy, table: Table) -> tuple[Column, ...]:
    """List the columns that rows are invented for; the rest have defaults that make better ones."""
    given = policy.table(table.name).columns
    keyed = {name for key in table.keys for name in key.columns}
    return tuple(c for c in table.written if c.name in given.keys() | keyed or not (c.default or c.family == "other"))


def rows(policy: Policy, table: Table, parents: Parents) -> Iterator[tuple[Cell, ...]]:
    """Invent the rows that the policy wants, cell by cell as text; None is NULL.

    A unique reference takes one parent after the other. Raises ValueError when there are not enough of them.
    """
    part, wanted = policy.table(table.name), columns(policy, table)
    single = {name for unique in table.uniques for name in unique}
    for number in range(part.synthetic or 0):
        referred = _references(policy, table, parents, number)
        yield tuple(
            referred[column.name]
            if column.name in referred
            else _cell(
                part.columns.get(column.name, Keep()),
                column,
                f"{policy.seed}/{table.name}/{column.name}/{number}",
                number + 1 if column.name in single else None,
            )
            for column in wanted
        )


def _references(policy: Policy, table: Table, parents: Parents, number: int) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for key in table.keys:
        there = parents.get(key.name, ())
        alone = any(set(unique) <= set(key.columns) for unique in table.uniques)
        if (not there or (alone and number >= len(there))) and not _optional(table, key.columns):
            raise ValueError(f"{key.says}: {number + 1} rows are wanted, and there are {len(there)} to refer to")
        at = number if alone else _draw(f"{policy.seed}/{key.name}/{number}")
        row = (there[at % len(there)] if at < len(there) or not alone else None) if there else None
        found |= dict(zip(key.columns, row or [None] * len(key.columns), strict=True))
    return found


def _optional(table: Table, names: Sequence[str]) -> bool:
    return all(column.nullable for column in table.columns if column.name in names)


def _cell(rule: Rule, column: Column, about: str, count: int | None) -> Cell:
    match rule:
        case Null():
            return None
        case Constant(value=value):
            return str(value).lower() if isinstance(value, bool) else str(value)
        case Shift():
            return (_NEWEST + timedelta(days=days(rule, "synthetic", about))).isoformat()
        case Keep() | Truncate():
            return _invented(column, about, count)
    return pseudonym(rule, "synthetic", about, column.base)


def _invented(column: Column, about: str, count: int | None) -> Cell:
    draw, digits = _draw(about), hashlib.sha256(about.encode()).hexdigest()
    word = digits[:16] if count else f"{column.name} {digits[:16]}"
    label = column.labels[draw % len(column.labels)] if column.labels else None
    made: Mapping[str, Cell] = {
        "integer": str(count or 1 + draw % 1000),
        "numeric": str(count or 1 + draw % 9),  # fits numeric(1), too
        "text": word if column.limit is None or len(word) <= column.limit else digits[: column.limit],
        "date": (_NEWEST - timedelta(days=1 + draw % 365)).isoformat(),
        "uuid": str(UUID(digits[:32])),
        "json": "{}",
        "boolean": ("false", "true")[draw % 2],
        "enum": label,
    }
    return made.get(column.family)


def _draw(about: str) -> int:
    return int(hashlib.sha256(about.encode()).hexdigest()[:15], 16)
