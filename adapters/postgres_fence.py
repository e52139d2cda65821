"""The newest owner's fencing token, kept in the database it migrates: a transaction under an older one is refused.

A row lock holds the token still until the transaction ends, so there is no moment between the look and the commit. An
owner who was stopped keeps nobody waiting for long: the server ends a session that has gone silent, rolls its
transaction back and frees its locks.
"""

import time
from contextlib import suppress
from typing import LiteralString

from psycopg import errors

from adapters.postgres_catalog import Link
from domain.errors import Conflict, Unavailable

NAP = 5.0  # seconds after which a migrator that says nothing has been stopped

TABLE: LiteralString = """
create table if not exists public.interlock_fence (
  one boolean primary key default true check (one), token bigint not null)
"""
_RAISE: LiteralString = """
insert into public.interlock_fence (token) values (%s)
on conflict (one) do update set token = greatest(interlock_fence.token, excluded.token) returning token
"""

ADVISORY = 0x696E7465726C6F63  # "interloc": what a migrator locks from its first look to its last
MIGRATORS: LiteralString = """
from pg_locks where locktype = 'advisory' and granted and (classid::bigint << 32 | objid::bigint) = %s
and database = (select oid from pg_database where datname = current_database())
"""
_END_TOOLS: LiteralString = """
select pg_terminate_backend(pid) from pg_stat_activity
where usename = current_user and datname = current_database() and application_name = %s
"""

TOOL = "interlock-tool"
"""The application name of sessions that a service's own migration tool opens."""


def claim(link: Link, token: int, what: str) -> None:
    """Have a token count from now on, and end the sessions of an older owner who is migrating, or has a tool migrate.

    A newer owner's token is committed before its transaction begins, so the look before each attempt sees it: nobody
    ends a newer one. Raises Conflict when there is one, Unavailable when the token stays locked for twice NAP.
    """
    if not exists(link):
        with suppress(errors.UniqueViolation):  # "if not exists" does not hold between two who create it at once
            link.execute(TABLE)
    link.execute("select set_config('lock_timeout', '200ms', false)")
    give_up = time.monotonic() + 2 * NAP
    while time.monotonic() < give_up:
        for (newest,) in link.execute("select token from public.interlock_fence").fetchall():
            _refuse(newest, token, what)
        try:
            insist(link, token, what)
            link.execute(_END_TOOLS, (TOOL,))
            return
        except errors.LockNotAvailable:
            link.execute("select pg_terminate_backend(pid)" + MIGRATORS, (ADVISORY,))
    raise Unavailable(f"{what}: the fencing token has been locked for {2 * NAP:.0f} s", "see pg_locks for who holds it")


def insist(link: Link, token: int, what: str) -> None:
    """Have a token count from now on; Raises Conflict when a higher one does.

    Inside a transaction nobody else passes until it ends; who tries gets LockNotAvailable after the lock time-out.
    """
    [[newest]] = link.execute(_RAISE, (token,)).fetchall()
    _refuse(newest, token, what)


def newest(link: Link) -> int:
    """Read the token that counts; 0 before any has been here."""
    rows = link.execute("select token from public.interlock_fence").fetchall() if exists(link) else []
    return int(rows[0][0]) if rows else 0


def carry(link: Link, successor: Link) -> None:
    """Have the token of one database count in the one that takes its place."""
    if not exists(successor):
        successor.execute(TABLE)
    insist(successor, newest(link), "the restored database")


def exists(link: Link) -> bool:
    """Tell whether any token has been here."""
    [[table]] = link.execute("select to_regclass('public.interlock_fence')").fetchall()
    return table is not None


def _refuse(newest: int, token: int, what: str) -> None:
    if newest > token:
        raise Conflict(
            f"{what}: a newer owner migrates this database, token {newest}; mine is {token}",
            "stop here and change nothing more: whoever holds the lease now goes on",
        )
