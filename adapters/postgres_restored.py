"""A database restored from a backup, on its way to take the living one's place; its comment says how far it is.

Unlike a scratch database it has the grants of the backup, since an application is to use it. Everything belongs to the
role that restores it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, LiteralString

from psycopg import sql
from pydantic import ValidationError

from adapters import postgres_backup as archive
from adapters import postgres_capture as capture
from adapters import postgres_catalog as catalog
from adapters import postgres_digest as content
from adapters import postgres_loosen as loosen
from adapters import postgres_scratch as scratch
from adapters.postgres_catalog import Link
from adapters.postgres_end import End
from domain.errors import Conflict, Invalid, Refused, Rejected
from domain.schema.backup import Backup
from domain.schema.replay import Progress

Say = Callable[[str], None]

_OURS = "interlock restore: "
_COMMENT: LiteralString = "select shobj_description(oid, 'pg_database') from pg_database where datname = %s"
_RIGHTS: LiteralString = """
select case x.grantee when 0 then 'public' else x.grantee::regrole::text end, x.privilege_type
from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x
where d.datname = %s and x.grantee <> d.datdba
"""
_ALONE: LiteralString = "select pg_try_advisory_lock(hashtextextended('interlock restore ' || %s, 0))"


def restored(
    reader: Link, living: End, copy: End, stored: IO[bytes], backup: Backup, say: Say, *, afresh: bool = False
) -> Progress:
    """Have a restored database: as far as an earlier run brought it (unless `afresh`), or newly restored.

    Raises Refused when the name is taken by anything else, Rejected when the dump is not what was backed up.
    """
    known = progress_of(reader, copy.name)
    if known and known.backup != backup.snapshot:
        raise Refused(f"{copy} was restored from another backup", f"name another one, or drop it: {known.source}")
    if known and known.state == "complete":
        raise Refused(f"{copy} is restored and complete", "use it, name another one, or drop it")
    if known and known.state == "replaying" and not afresh:
        say(f"going on after {known.snapshot}")
        return known
    fresh = Progress(state="restoring", source=str(living), backup=backup.snapshot, snapshot=backup.snapshot)
    return _fresh(reader, copy, stored, backup, fresh, say)


def _fresh(reader: Link, copy: End, stored: IO[bytes], backup: Backup, fresh: Progress, say: Say) -> Progress:
    """Restore the dump into an empty database, and see that it is what was backed up."""
    say("restoring")
    if backup.format != archive.FORMAT:
        raise Invalid(f"the backup is {backup.format!r}, not {archive.FORMAT!r}", "take a new one")
    scratch.take_away(reader, copy.name)  # what an earlier run left; its pg_restore may not have noticed yet
    scratch.create(reader, copy.name)
    reader.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(copy.name)))
    note(reader, copy.name, fresh)
    program = archive.program("pg_restore", reader.info.server_version // 10_000, None)
    archive.restore(program, copy.environment(), stored, keep=("privileges",))

    with copy.link() as writer:
        capture.remove(writer)
        with catalog.snapshot(writer):
            wrong = content.differences(backup.tables, content.digests(writer))
            same = catalog.fingerprint(writer)[: catalog.STRUCTURE] == backup.fingerprint[: catalog.STRUCTURE]
        if wrong or not same:
            said = "; ".join([*wrong, *([] if same else ["the schema differs"])])
            raise Rejected(f"{copy} is not what was backed up: {said}", "take another backup; this one is damaged")
        writer.execute("analyze")  # the first queries of the application would have no plan to speak of
        loosened, mended, validated = loosen.plan(writer)
        lists = {"loosened": loosened, "mended": mended, "validated": validated}
        ready = fresh.model_copy(update={"state": "replaying", **lists})
        note(writer, copy.name, ready)
    return ready


def let_in(link: Link, living: End, name: str) -> None:
    """Let into a restored database whoever may enter the living one."""
    for role, right in link.execute(_RIGHTS, (living.name,)).fetchall():
        grant = sql.SQL("grant {} on database {} to {}")
        link.execute(grant.format(sql.SQL(right), sql.Identifier(name), sql.SQL(role)))


def progress_of(link: Link, name: str) -> Progress | None:
    """Read what a restored database says of itself; None: it is not there. Raises Refused for somebody else's."""
    rows = link.execute(_COMMENT, (name,)).fetchall()
    if not rows:
        return None
    said = rows[0][0] or ""
    try:
        return Progress.model_validate_json(said.removeprefix(_OURS))
    except ValidationError:
        raise Refused(f"{name} is no database that Interlock restored", "name another one, or drop it") from None


def note(link: Link, name: str, progress: Progress) -> None:
    """Have a restored database say how far it is, from the end of the transaction on."""
    said = sql.Literal(_OURS + progress.model_dump_json())
    link.execute(sql.SQL("comment on database {} is {}").format(sql.Identifier(name), said))


@contextmanager
def alone(reader: Link, living: End, name: str) -> Iterator[None]:
    """Keep other restores of the same name away until `reader` is closed. Raises Conflict when there is one."""
    [[mine]] = reader.execute(_ALONE, (name,)).fetchall()
    if not mine:
        raise Conflict(f"{living.beside(name)}: another restore is under way", "wait for it to end")
    yield
