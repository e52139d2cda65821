"""The place of a copy: whether it may be taken, what it says about itself, and the moment it gets a new one."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

from psycopg import errors, sql
from psycopg.types.json import Jsonb

from adapters.postgres_catalog import Link, snapshot
from adapters.postgres_end import End
from adapters.postgres_fence import TABLE as FENCE
from adapters.postgres_shape import shape
from domain.data.stamp import Stamp
from domain.errors import Conflict, Invalid, Refused, Unavailable

_STAMP: LiteralString = """
create table public.interlock_copy (one boolean primary key default true check (one), taken_at text not null,
  source text not null, server text not null, policy text not null, tables jsonb not null, searched bigint not null)
"""
_WHERE: LiteralString = "select pg_postmaster_start_time()::text || current_database()"
_RIGHTS: LiteralString = """
select a.grantee::regrole::text, a.privilege_type from pg_database d, aclexplode(d.datacl) a
where d.datname = %s and a.grantee <> d.datdba and a.grantee <> 0
"""
_TRIES = 5  # at the moment between the sessions that are ended and those that come back


@contextmanager
def alone(keeper: Link, target: End) -> Iterator[None]:
    """Keep other refreshes of the same place away until `keeper` is closed. Raises Conflict when there is one."""
    [[mine]] = keeper.execute(
        "select pg_try_advisory_lock(hashtextextended('interlock copy ' || %s, 0))", (target.name,)
    ).fetchall()
    if not mine:
        raise Conflict(f"{target}: another refresh is under way", "wait for it to end")
    yield


def _exists(keeper: Link, target: End) -> bool:
    return bool(keeper.execute("select from pg_database where datname = %s", (target.name,)).fetchall())


def insist_on_place(reader: Link, target: End, keeper: Link) -> None:
    """Raise Refused unless what would be replaced is a copy of ours, or holds nothing."""
    if not _exists(keeper, target):
        return
    with target.link() as link:
        if link.execute(_WHERE).fetchall() == reader.execute(_WHERE).fetchall():
            raise Refused(f"{target} is the source itself", "name another database")
        [[stamped]] = link.execute("select to_regclass('public.interlock_copy') is not null").fetchall()
        with snapshot(link):
            held = [] if stamped else sorted(shape(link).tables)
    if held:
        raise Refused(
            f"{target} is no copy that Interlock made: it holds {', '.join(held[:5])}{' …' * (len(held) > 5)}",
            "it would be replaced as a whole; drop it yourself, or name another database",
        )


def swap(keeper: Link, target: End, fresh: str) -> str | None:
    """Rename the new database into its place, ending the sessions there; returns what the old one is called now."""
    there = _exists(keeper, target)
    if there:
        _carry_fence(target, target.beside(fresh))
    _close(keeper, target, fresh)
    old = f"{fresh.rpartition('_')[0]}_{secrets.token_hex(4)}" if there else None
    move: LiteralString = "alter database {} rename to {}"
    new, place = sql.Identifier(fresh), sql.Identifier(target.name)
    for _ in range(_TRIES):
        keeper.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (target.name,))
        try:
            with keeper.transaction():
                if old:
                    keeper.execute(sql.SQL(move).format(place, sql.Identifier(old)))
                keeper.execute(sql.SQL(move).format(new, place))
            return old
        except errors.ObjectInUse:
            continue
    raise Unavailable(f"{target}: its sessions come back faster than they are ended", "stop them; the old copy stays")


def _carry_fence(target: End, fresh: End) -> None:
    """Keep the fencing token of the place: it belongs to the environment, not to what was copied."""
    with target.link() as old, fresh.link() as new:
        [[fenced]] = old.execute("select to_regclass('public.interlock_fence') is not null").fetchall()
        if fenced:
            new.execute(FENCE)
            for (token,) in old.execute("select token from public.interlock_fence").fetchall():
                new.execute("insert into public.interlock_fence (token) values (%s)", (token,))


def _close(keeper: Link, target: End, fresh: str) -> None:
    """Let in whom the old copy let in, by name, and nobody else."""
    name = sql.Identifier(fresh)
    keeper.execute(sql.SQL("revoke all on database {} from public").format(name))
    for role, right in keeper.execute(_RIGHTS, (target.name,)).fetchall():
        keeper.execute(sql.SQL("grant {} on database {} to {}").format(sql.SQL(right), name, sql.SQL(role)))


def write(writer: Link, stamp: Stamp) -> None:
    """Have a copy say what it is."""
    writer.execute(_STAMP)
    writer.execute(
        "insert into public.interlock_copy (taken_at, source, server, policy, tables, searched)"
        " values (%(taken_at)s, %(source)s, %(server)s, %(policy)s, %(tables)s, %(searched)s)",
        stamp.model_dump() | {"tables": Jsonb(stamp.tables)},
    )


def stamp_of(target: End, link: Link) -> Stamp:
    """Read what a copy says of itself. Raises Invalid when it says nothing."""
    [[stamped]] = link.execute("select to_regclass('public.interlock_copy') is not null").fetchall()
    found = link.execute("select to_jsonb(c) - 'one' from public.interlock_copy c").fetchall() if stamped else []
    if not found:
        raise Invalid(f"{target} is no copy that Interlock made", "`interlock data refresh` makes one")
    return Stamp.model_validate(found[0][0])
