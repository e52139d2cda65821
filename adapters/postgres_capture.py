"""A capture: which rows are written, noted down by their primary keys in the transaction that writes them.

Nothing but the key is kept: a replay fetches the rows themselves from the living database. All of it is in one schema,
`interlock_capture`, that neither fingerprint nor digests see. A dump carries it without what was noted down, and in the
restored database the triggers do nothing: the OID of their table is another one there.
"""

from collections.abc import Iterator, Mapping
from typing import LiteralString

from psycopg import sql

from adapters.postgres_catalog import SCOPE, Link, steady
from adapters.postgres_errand import READERS, Deed, Errand, Manners
from adapters.postgres_keys import Keyed, keyed, marked
from adapters.postgres_marks import arming, members
from domain.errors import Refused, Rejected
from domain.schema.capture import Capture, Watch, uncapturable

_SCHEMA: LiteralString = """
create schema if not exists interlock_capture;
create table if not exists interlock_capture.dirty (
  tbl text not null, pk jsonb, xid xid8 not null default pg_current_xact_id());
create index if not exists dirty_xid on interlock_capture.dirty (xid);
create table if not exists interlock_capture.armed (
  tbl text primary key, rel oid not null, key text[] not null, xid xid8 not null default pg_current_xact_id());
create table if not exists interlock_capture.frozen (by text not null)
"""
_WATCHED: LiteralString = """
select a.tbl, a.key, pg_visible_in_snapshot(a.xid, coalesce(%(since)s::pg_snapshot, pg_current_snapshot())),
  r.id is not null and (
    select bool_and(exists (select from pg_trigger g where g.tgrelid = m.relid and g.tgenabled in ('O', 'A')
      and g.tgname = 'interlock_capture'
      and g.tgfoid in (select oid from pg_proc where pronamespace = 'interlock_capture'::regnamespace)))
    from (select relid from pg_partition_tree(r.id) union select r.id) m
  ) and exists (select from pg_trigger g where g.tgrelid = r.id and g.tgname = 'interlock_emptied'
    and g.tgenabled in ('O', 'A')),
  %(since)s::pg_snapshot is not null and exists (select from interlock_capture.dirty d
    where d.tbl = a.tbl and d.pk is null and d.xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
      and not pg_visible_in_snapshot(d.xid, %(since)s::pg_snapshot))
from interlock_capture.armed a left join relation r on r.nspname || '.' || r.relname = a.tbl
  and r.relkind in ('r', 'p') and not r.relispartition order by a.tbl
"""
_REMOVE: LiteralString = "drop schema if exists interlock_capture cascade"
# A table that was renamed keeps its OID, and is noted down by the name that it had.
_GONE: LiteralString = """
select a.tbl || '.' || k from interlock_capture.armed a cross join unnest(a.key) k
where exists (select from pg_class where oid = a.rel)
  and not exists (select from pg_attribute where attrelid = a.rel and attname = k and not attisdropped) order by 1
"""


def arm(link: Link, manners: Manners) -> Capture:
    """Watch every table that is not watched yet, one short lock after the other.

    Raises Refused naming every table without a primary key, and Rejected when a lock is not granted within the budget:
    no table is watched then that was not watched before.
    """
    tables = keyed(link)
    if problems := uncapturable({name: table.layout for name, table in tables.items()}):
        raise Refused("\n".join(problems), "give each a primary key; nothing was changed")
    prepare(link)
    known, new = state(link), list[str]()
    try:
        for name, table in tables.items():
            watch = known.tables.get(name)
            if watch is None or not watch.whole or watch.key != table.layout.key:
                _run(link, f"capture of {name}", arming(link, table), members(link, table), manners, READERS)
                new.append(name)
    except BaseException:
        if not link.broken:
            disarm(link, manners, [name for name in new if name not in known.tables], entirely=not known.tables)
        raise
    return state(link)


def disarm(link: Link, manners: Manners, only: list[str] | None = None, *, entirely: bool = True) -> None:
    """Watch nothing more, and forget what was noted down; a database that is not armed is left as it is.

    Raises Rejected when a lock is not granted within the budget; the tables that are left are watched on.
    """
    if not exists(link):
        return
    for name, table in keyed(link).items():
        if only is None or name in only:
            parts = members(link, table)
            forget = sql.SQL("delete from interlock_capture.armed where tbl = {}").format(sql.Literal(name))
            script = sql.Composed([*_dropping(table, parts), forget])
            _run(link, f"end of the capture of {name}", script, parts, manners, ())
    if entirely:
        [[dirty]] = link.execute("select 'interlock_capture.dirty'::regclass::oid").fetchall()
        _run(link, "end of the capture", sql.Composed([sql.SQL(_REMOVE)]), {"dirty": dirty}, manners, ())


def prepare(link: Link) -> None:
    """Have the schema in which everything is kept; nothing is watched for it."""
    with link.transaction():
        link.execute(_SCHEMA)


def remove(link: Link) -> None:
    """Take a capture out of a database that nobody uses, at once."""
    link.execute(_REMOVE)


def exists(link: Link) -> bool:
    """Tell whether there is anything of a capture."""
    [[there]] = link.execute("select to_regclass('interlock_capture.armed') is not null").fetchall()
    return bool(there)


def insist_keys(link: Link, label: str) -> None:
    """Raise Rejected when a script took a column away whose absence would make the capture, and every write, fail."""
    gone = [name for (name,) in link.execute(_GONE).fetchall()] if exists(link) else []
    if gone:
        said = f"{label}: {', '.join(gone)} is gone, and the capture would fail every write without it"
        raise Rejected(f"{said}; nothing was changed", "`interlock schema capture --disarm` ends the capture first")


def state(link: Link, since: str = "") -> Capture:
    """Say what is watched, and what was written since a snapshot (a pg_snapshot in words), exactly."""
    tables = keyed(link)
    if not exists(link):
        return Capture(unwatched=tuple(tables))
    with steady(link):
        rows = link.execute(SCOPE + _WATCHED, {"since": since or None}).fetchall()
        found = {
            name: Watch(
                key=tuple(key),
                whole=whole,
                in_time=in_time,
                truncated=emptied,
                changed=_changed(link, name, tables.get(name), tuple(key), since) if since else 0,
            )
            for name, key, in_time, whole, emptied in rows
        }
        [[size]] = link.execute("select pg_total_relation_size('interlock_capture.dirty')").fetchall()
        everything = [(0,)] if since else link.execute("select count(*) from interlock_capture.dirty").fetchall()
        frozen = link.execute("select by from interlock_capture.frozen").fetchone()
    unwatched = tuple(name for name in tables if name not in found)
    marks, by = everything[0][0], frozen[0] if frozen else ""
    return Capture(tables=found, unwatched=unwatched, marks=marks, size=size, frozen=by)


def _changed(link: Link, name: str, table: Keyed | None, key: tuple[str, ...], since: str) -> int:
    if table is not None and table.layout.key == key:
        query = sql.SQL("select count(*) from ({}) k").format(marked(table, since))
    else:  # nobody can read the keys by their types any more
        query = sql.SQL(
            "select count(distinct pk) from interlock_capture.dirty"
            " where tbl = {} and not pg_visible_in_snapshot(xid, {}::pg_snapshot)"
        ).format(sql.Literal(name), sql.Literal(since))
    [[changed]] = link.execute(query).fetchall()
    return int(changed)


def _dropping(table: Keyed, parts: Mapping[str, int]) -> Iterator[sql.Composed]:
    """Drop what is on a table and its partitions; a trigger for rows leaves the partitions along with it."""
    drop: LiteralString = "drop trigger if exists {} on {};"
    yield sql.SQL(drop).format(sql.Identifier("interlock_capture"), sql.Identifier(*table.table[:2]))
    for part in parts:
        for trigger in ("interlock_emptied", "interlock_frozen"):
            yield sql.SQL(drop).format(sql.Identifier(trigger), sql.SQL(part))


def _run(
    link: Link, what: str, script: sql.Composed, tables: dict[str, int], manners: Manners, beside: tuple[str, ...]
) -> None:
    deed = Deed(number=0, name=what, up=script.as_string(link))
    turn = Errand(link, deed, "capture", manners.token, manners.lock_timeout, manners.lock_budget)
    turn.beside, turn.tables = beside, list(tables.values())
    with turn.alone():
        turn.whole(lambda _: None)
