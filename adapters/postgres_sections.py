"""A schema without its rows, from pg_dump: what comes before the rows, and what comes after and proves them.

Rows, large objects, statistics (they quote the commonest values), comments, owners and grants stay behind.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import LiteralString

from psycopg import errors, sql

from adapters import postgres_backup as archive
from adapters.postgres_catalog import Link
from adapters.postgres_end import End
from domain.errors import Rejected, Unavailable

_DUMP = ["--format=custom", "--schema-only", "-B", "--lock-wait-timeout=30s"]
_LIVELY = "keepalives_idle=10 keepalives_interval=5 keepalives_count=3"  # libpq has no environment variable for these
_LEFT_OUT = ["owner", "privileges", "comments", "publications", "subscriptions", "security-labels", "tablespaces"]
_KEPT_BACK = ["interlock_copy", "interlock_fence"]  # those of the copy's own place are made there
# A sequence of a column goes on after the copy's rows; any other goes on where the source's was.
_SEQUENCES: LiteralString = """
select s.schemaname, s.sequencename, s.increment_by > 0, s.last_value,
  (select array[n.nspname, t.relname, a.attname] from pg_depend d join pg_class t on t.oid = d.refobjid
    join pg_namespace n on n.oid = t.relnamespace
    join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    where d.classid = 'pg_class'::regclass and d.objid = format('%I.%I', s.schemaname, s.sequencename)::regclass
      and d.deptype in ('a', 'i'))
from pg_sequences s where s.schemaname !~ '^pg_' order by 1, 2
"""


def dump(source: End, link: Link, snapshot: str, folder: Path | None = None) -> bytes:
    """Dump the schema that a snapshot shows. Raises Rejected with what pg_dump said."""
    major = link.info.server_version // 10_000
    program = archive.program("pg_dump", major, folder)
    out = [f"--exclude-table=public.{name}" for name in _KEPT_BACK]
    return _run([program, *_DUMP, *out, f"--snapshot={snapshot}", f"--dbname={_LIVELY}"], source.environment(), b"")


def restore(section: str, schema: bytes, target: End, link: Link, folder: Path | None = None) -> None:
    """Restore `pre-data` or `post-data`, all of it or an error: Rejected, with what pg_restore said."""
    program = archive.program("pg_restore", link.info.server_version // 10_000, folder)
    options = [
        f"--section={section}",
        "--exit-on-error",
        *(f"--no-{what}" for what in _LEFT_OUT),
        f"--dbname={_LIVELY}",
    ]
    _run([program, *options], target.environment(), schema)


def continue_sequences(source: Link, target: Link) -> None:
    """Set every sequence of the target so that the next value is a new one."""
    last = {(schema, name): value for schema, name, _, value, _ in source.execute(_SEQUENCES).fetchall()}
    for schema, name, rises, _, owner in target.execute(_SEQUENCES).fetchall():
        value = last.get((schema, name))
        if owner:
            query = sql.SQL("select {}({}) from {}").format(
                sql.SQL("max" if rises else "min"), sql.Identifier(owner[2]), sql.Identifier(owner[0], owner[1])
            )
            [[value]] = target.execute(query).fetchall()
        if value is not None:
            try:
                target.execute("select setval(format('%%I.%%I', %s::text, %s::text), %s)", (schema, name, value))
            except errors.NumericValueOutOfRange:  # a masked number outside the sequence's range: it cannot collide
                continue


def refresh_views(target: Link) -> None:
    """Fill the materialized views, those first that others were made from."""
    views = target.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind = 'm' order by c.oid"
    )
    for schema, name in views.fetchall():
        target.execute(sql.SQL("refresh materialized view {}").format(sql.Identifier(schema, name)))


def _run(command: list[str], env: Mapping[str, str], given: bytes) -> bytes:
    try:
        done = subprocess.run(
            command, input=given, env=dict(env), check=False, capture_output=True, timeout=archive.PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{Path(command[0]).name} did not end", "see what the server does") from error
    if done.returncode:
        # A DETAIL line quotes the row that is in the way.
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if "DETAIL" not in line]
        said = " / ".join(line.strip() for line in lines[-4:] if line.strip())
        raise Rejected(f"{Path(command[0]).name} failed: {said}", "the copy that was there is untouched")
    return done.stdout
