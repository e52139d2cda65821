"""The newest owner's fencing token, kept in the database it migrates: a transaction under an older one is refused.

A row lock holds the token still until the transaction ends, so there is no moment between the look and the commit. An
owner who was stopped keeps nobody waiting for long: the server ends a session that has gone silent, rolls its
transaction back and frees its locks.
"""

from typing import LiteralString

from adapters.postgres_catalog import Link
from domain.errors import Conflict

NAP = 5.0  # seconds after which a migrator that says nothing has been stopped

TABLE: LiteralString = """
create table if not exists public.interlock_fence (
  one boolean primary key default true check (one), token bigint not null)
"""
_RAISE: LiteralString = """
insert into public.interlock_fence (token) values (%s)
on conflict (one) do update set token = greatest(interlock_fence.token, excluded.token) returning token
"""


def insist(link: Link, token: int, what: str) -> None:
    """Have a token count from now on; Raises Conflict when a higher one does.

    Inside a transaction nobody else passes until it ends; who tries gets LockNotAvailable after the lock time-out.
    """
    [[newest]] = link.execute(_RAISE, (token,)).fetchall()
    if newest > token:
        raise Conflict(
            f"{what}: a newer owner migrates this database, token {newest}; mine is {token}",
            "stop here and change nothing more: whoever holds the lease now goes on",
        )


def exists(link: Link) -> bool:
    """Tell whether any token has been here."""
    [[table]] = link.execute("select to_regclass('public.interlock_fence')").fetchall()
    return table is not None
