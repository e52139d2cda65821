"""The table that says what was migrated: one row for each step, with the way back that its version brought along.

`statements` counts what a script without a transaction has done on its way there; below zero it is the statement of
its way back that is under way.
"""

from typing import Any, LiteralString

from psycopg import sql

from adapters.postgres_catalog import Link
from domain.schema.migration import Applied, Recorded

TABLE: LiteralString = """
create table if not exists public.interlock_migrations (
  number integer primary key, name text not null, phase text not null, checksum text not null,
  down text, down_checksum text, release text not null,
  state text not null check (state in ('running', 'failed', 'applied')), statements integer not null default 0,
  fingerprint_before text, fingerprint_after text,
  attempts integer not null, lock_wait_ms integer not null, exec_ms integer not null,
  applied_at timestamptz not null default clock_timestamp())
"""
_ROW: LiteralString = """
insert into public.interlock_migrations (number, name, phase, checksum, down, down_checksum, release, state,
  fingerprint_before, attempts, lock_wait_ms, exec_ms)
values (%(number)s, %(name)s, %(phase)s, %(checksum)s, %(down)s, encode(sha256(convert_to(%(down)s, 'UTF8')), 'hex'),
  %(release)s, %(state)s, %(before)s, %(attempts)s, %(lock_wait_ms)s, %(exec_ms)s)
on conflict (number) do update set name = excluded.name, phase = excluded.phase, checksum = excluded.checksum,
  down = excluded.down, down_checksum = excluded.down_checksum, release = excluded.release, state = excluded.state,
  attempts = excluded.attempts, lock_wait_ms = excluded.lock_wait_ms, exec_ms = excluded.exec_ms,
  applied_at = clock_timestamp()
"""


def applied(link: Link) -> tuple[Applied, ...]:
    """List what was applied, in order; a database that was never migrated has nothing."""
    if not _exists(link):
        return ()
    rows = link.execute(
        "select number, name, phase, checksum, release, fingerprint_after from public.interlock_migrations"
        " where state = 'applied' order by number"
    )
    return tuple(
        Applied(number=number, name=name, phase=phase, checksum=checksum, release=release, fingerprint=fingerprint)
        for number, name, phase, checksum, release, fingerprint in rows
    )


def recorded(link: Link) -> tuple[Recorded, ...]:
    """List every row as it stands, in order."""
    if not _exists(link):
        return ()
    columns = sql.SQL(", ").join(map(sql.Identifier, Recorded.model_fields))
    rows = link.execute(sql.SQL("select {} from public.interlock_migrations order by number").format(columns))
    return tuple(Recorded.model_validate(dict(zip(Recorded.model_fields, row, strict=True))) for row in rows)


def write(link: Link, row: dict[str, Any]) -> None:
    """Write a step's row, or write it anew."""
    link.execute(_ROW, row)


def change(link: Link, number: int, column: str, value: str | int) -> None:
    """Change one column of a step's row."""
    query = sql.SQL("update public.interlock_migrations set {} = %s where number = %s")
    link.execute(query.format(sql.Identifier(column)), (value, number))


def forget(link: Link, number: int) -> None:
    """Remove a step's row: it is as if it had never been."""
    link.execute("delete from public.interlock_migrations where number = %s", (number,))


def _exists(link: Link) -> bool:
    [[table]] = link.execute("select to_regclass('public.interlock_migrations')").fetchall()
    return table is not None
