"""Scratch databases: made for one restore, known by their name, and taken away in any case."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import LiteralString

from psycopg import errors, sql

from adapters.postgres_catalog import Link
from domain.errors import Invalid

_SCRATCH = "interlock_scratch_"
_NAME = re.compile(f"{_SCRATCH}[0-9]+_[0-9a-f]+")
_ABANDONED = 60  # seconds: whoever makes one connects to it at once, and stays connected


@contextmanager
def scratch(link: Link) -> Iterator[str]:
    """Lend an empty database with the same encoding and collation, dropped in any case; `link` is in autocommit.

    Raises Invalid when the role may not create databases.
    """
    sweep(link)
    [[now]] = link.execute("select extract(epoch from clock_timestamp())::bigint").fetchall()
    name = f"{_SCRATCH}{now}_{secrets.token_hex(4)}"
    try:
        create(link, name)
    except errors.InsufficientPrivilege as error:
        role = link.info.user
        raise Invalid(f"{role} may not create a scratch database", f'run: ALTER ROLE "{role}" CREATEDB;') from error
    try:
        yield name
    finally:
        take_away(link, name)


def take_away(link: Link, name: str) -> None:
    """Drop a database of ours, by force if it must be; one that autovacuum keeps stays, for the sweep.

    Without force PostgreSQL waits five seconds for those who are connected and sends autovacuum away; with it, it must
    be allowed to end their sessions, which only a superuser is where autovacuum is among them.
    """
    for how in ("", " with (force)"):
        with suppress(errors.ObjectInUse, errors.InsufficientPrivilege):
            link.execute(sql.SQL("drop database if exists {}" + how).format(sql.Identifier(name)))
            return


def scratches(link: Link) -> list[tuple[str, float, bool]]:
    """List the scratch databases of this server that the role may drop: name, age in seconds, is anybody connected?"""
    rows = link.execute(
        "select datname, (extract(epoch from clock_timestamp()) - split_part(datname, '_', 3)::bigint)::float,"
        " exists (select from pg_stat_activity a where a.datid = d.oid)"
        " from pg_database d where datname ~ %s and pg_has_role(datdba, 'usage') order by datname",
        (f"^{_NAME.pattern}$",),
    )
    return rows.fetchall()


def drop(link: Link, name: str) -> bool:
    """Drop a scratch database; False when somebody is connected. One that is gone is fine."""
    if not _NAME.fullmatch(name):
        return False
    with suppress(errors.ObjectInUse):
        link.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(name)))
        return True
    return False


def sweep(link: Link) -> None:
    """Drop scratch databases older than a minute that nobody is connected to: whoever made them is gone."""
    for name, age, connected in scratches(link):
        if age > _ABANDONED and not connected:
            drop(link, name)


def create(link: Link, name: str) -> None:
    """Create an empty database with the encoding and collation of the one that `link` is connected to."""
    [[like]] = link.execute("select to_jsonb(d) from pg_database d where datname = current_database()").fetchall()
    [[encoding]] = link.execute("select pg_encoding_to_char(%s)", (like["encoding"],)).fetchall()
    words = {"encoding": encoding, "lc_collate": like["datcollate"], "lc_ctype": like["datctype"]}
    locale = like.get("datlocale") or like.get("daticulocale")  # renamed in PostgreSQL 17
    match like.get("datlocprovider"):
        case "i":
            words |= {"locale_provider": "icu", "icu_locale": locale}
        case "b":
            words |= {"locale_provider": "builtin", "builtin_locale": locale}
    options = [sql.SQL("{} {}").format(sql.SQL(word), sql.Literal(value)) for word, value in words.items()]
    statement: LiteralString = "create database {} template template0 {}"
    link.execute(sql.SQL(statement).format(sql.Identifier(name), sql.SQL(" ").join(options)))
