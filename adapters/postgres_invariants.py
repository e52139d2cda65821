"""Invariants, asked of a PostgreSQL; and the constraints that it does not vouch for yet."""

from collections.abc import Mapping
from typing import LiteralString

import psycopg

from adapters.postgres_catalog import Link
from domain.schema.invariant import Breach, counted

_UNVALIDATED: LiteralString = """
select n.nspname || '.' || c.relname || ': ' || o.conname
from pg_constraint o join pg_class c on c.oid = o.conrelid join pg_namespace n on n.oid = c.relnamespace
where not o.convalidated and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' order by 1
"""


def breaches(link: Link, invariants: Mapping[str, str], timeout: float) -> tuple[Breach, ...]:
    """Ask each in a transaction of its own that can change nothing, for `timeout` seconds; list those that do not hold.

    One that the server refuses to answer is listed with its reason.
    """
    asked = (_ask(link, name, query, timeout) for name, query in invariants.items())
    return tuple(breach for breach in asked if breach)


def _ask(link: Link, name: str, query: str, timeout: float) -> Breach | None:
    try:
        with link.transaction(force_rollback=True):
            link.execute("set transaction read only")
            link.execute("select set_config('statement_timeout', %s, true)", (f"{max(1, round(timeout * 1000))}ms",))
            rows = link.execute(counted(query).encode()).fetchall()
    except psycopg.Error as error:
        if link.broken:
            raise
        return Breach(name=name, error=error.diag.message_primary or type(error).__name__)
    return Breach(name=name, rows=rows[0][1], first=tuple(text for text, _ in rows)) if rows else None


def unvalidated(link: Link) -> tuple[str, ...]:
    """Name the constraints that old rows may break: `public.orders: positive`."""
    return tuple(name for (name,) in link.execute(_UNVALIDATED))
