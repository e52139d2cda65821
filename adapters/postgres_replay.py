"""What was written since, brought over: marked rows are deleted in the restored database and fetched from the other.

A pass reads one snapshot of the living database, and leaves the restored one as that snapshot shows it. The next pass
goes on from there: what the earlier snapshot shows is in, whatever else is marked is not. A pass is one transaction of
the restored database, which notes in it how far it has come: one that dies has never been.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg
from psycopg import sql

from adapters import postgres_capture as capture
from adapters import postgres_digest as content
from adapters.postgres_catalog import Link, snapshot, steady
from adapters.postgres_end import primary
from adapters.postgres_keys import Keyed, keyed, layouts, marked
from domain.errors import Refused, Rejected
from domain.schema.capture import Capture, Layout, obstacles, replayed
from domain.schema.replay import Pass

_KEYS: LiteralString = "create temporary table interlock_keys as select {} from {} limit 0"
_SETTINGS: LiteralString = """
set search_path = ''; set row_security = off; set timezone = 'UTC'; set datestyle = 'ISO';
set intervalstyle = 'postgres'; set bytea_output = 'hex'; set extra_float_digits = 1
"""
# Nothing marks what is written to them: they are as the backup has them, or the replay fails.
_LARGE: LiteralString = """
select count(*), coalesce(sum(hash_record_extended(row(oid, lo_get(oid)), 0)), 0)::text from pg_largeobject_metadata
"""


@dataclass
class Replay:
    """The passes from a living database into a restored one that `writer` is connected to, in autocommit.

    `at` is the snapshot that the restored one shows; `arrived` notes the next one down, in the pass's transaction.
    """

    writer: Link
    at: str
    arrived: Callable[[str], None]
    passes: list[Pass] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.writer.execute(_SETTINGS)
        self.old = keyed(self.writer)

    def catch_up(self, reader: Link, *, compare: bool = False) -> Pass:
        """Make a pass while the living database is written to; `compare`: every row of both, at its snapshot."""
        with snapshot(reader):
            return self.follow(reader, compare=compare)

    def follow(self, reader: Link, *, compare: bool = False) -> Pass:
        """Make a pass over what `reader` shows, which stands still: in a snapshot, or because nobody can write.

        Raises Refused with every reason when something has happened that cannot be replayed, Rejected when the rows do
        not fit or are not the same afterwards. The restored database is as it was before the pass then.
        """
        began = time.monotonic()
        with steady(reader):
            living = keyed(reader)
            insist_replayable(layouts(self.old), layouts(living), capture.state(reader, self.at))
            [[shown]] = reader.execute("select pg_current_snapshot()::text").fetchall()
            keys = rows = 0
            with self._told(), self.writer.transaction():
                for name, table in self.old.items():
                    if name in living:
                        some = self._carry(reader, table, living[name])
                        keys, rows = keys + some[0], rows + some[1]
                if compare:
                    self._compare(reader, living)
                self.arrived(shown)
        self.at = shown
        self.passes.append(Pass(keys=keys, rows=rows, seconds=round(time.monotonic() - began, 3), snapshot=shown))
        return self.passes[-1]

    def common(self, living: Mapping[str, Keyed]) -> Iterator[tuple[Keyed, Keyed, tuple[str, ...]]]:
        """Go through the tables that both have, each with the columns that are the same in both."""
        for name, table in self.old.items():
            if name in living:
                yield table, living[name], replayed(table.layout, living[name].layout)

    def _carry(self, reader: Link, old: Keyed, living: Keyed) -> tuple[int, int]:
        """Bring one table's marked rows over; returns how many keys, and how many rows there were for them."""
        since, target = marked(living, self.at), sql.Identifier(old.table.schema, old.table.name)
        self.writer.execute(sql.SQL(_KEYS).format(old.names, target))
        keys = self._pipe(reader, since, sql.SQL("pg_temp.interlock_keys"))
        rows = 0
        if keys:
            self.writer.execute("analyze pg_temp.interlock_keys")
            columns = replayed(old.layout, living.layout)
            names = sql.SQL(", ").join(map(sql.Identifier, columns))
            gone = sql.SQL("delete from {} t using pg_temp.interlock_keys k where {}")
            self.writer.execute(gone.format(old.table.rows, old.meets("t", "k")))
            cells = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(column)) for column in columns)
            found = sql.SQL("select {} from {} t join ({}) k on {}").format(
                cells, living.table.rows, since, living.meets("t", "k")
            )
            rows = self._pipe(reader, found, sql.SQL("{} ({})").format(target, names))
            self._insist_same(reader, old, living, columns, since)
        self.writer.execute("drop table pg_temp.interlock_keys")
        return keys, rows

    def _insist_same(
        self, reader: Link, old: Keyed, living: Keyed, columns: tuple[str, ...], since: sql.Composed
    ) -> None:
        """Hold the rows that were brought over against those in the living database."""
        join = sql.SQL("join {} k on {}")
        there = content.digest(reader, living.table, columns, join.format(sql.SQL("({})").format(since),
                                                                          living.meets("t", "k")))  # fmt: skip
        keys = sql.SQL("pg_temp.interlock_keys")
        here = content.digest(self.writer, old.table, columns, join.format(keys, old.meets("t", "k")))
        if here != there:
            raise Rejected(f"{old.table}: {here.rows} rows came over of {there.rows}, or others than were sent")

    def _compare(self, reader: Link, living: Mapping[str, Keyed]) -> None:
        """Hold every row of both databases against each other, on the columns that both have."""
        with steady(self.writer):
            wrong = [
                f"{old.table}: the living database has {there.rows} rows, the restored one {here.rows}"
                + ("" if there.rows != here.rows else f", and {self._which(reader, old, now, columns)} differs")
                for old, now, columns in self.common(living)
                if (there := content.digest(reader, now.table, columns))
                != (here := content.digest(self.writer, old.table, columns))
            ]
            wrong += ["large objects differ"] if _large(reader) != _large(self.writer) else []
        if wrong:
            raise Rejected("something was written that the capture did not see\n" + "\n".join(wrong))

    def _which(self, reader: Link, old: Keyed, living: Keyed, columns: tuple[str, ...]) -> str:
        there, here = content.columns(reader, living.table), content.columns(self.writer, old.table)
        return ", ".join(column for column in columns if there[column] != here[column])

    def _pipe(self, reader: Link, query: sql.Composed, into: sql.Composable) -> int:
        """Carry rows as text: the binary form of some types holds numbers that another database gives otherwise."""
        with reader.cursor() as source, self.writer.cursor() as target:
            with (
                source.copy(sql.SQL("copy ({}) to stdout").format(query)) as rows,
                target.copy(sql.SQL("copy {} from stdin").format(into)) as taken,
            ):
                for row in rows:
                    taken.write(row)
            return target.rowcount

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell what went wrong in the restored database as its own; the living one is none the worse."""
        try:
            yield
        except psycopg.Error as error:
            where = f"{error.diag.table_name}: " if error.diag.table_name else ""
            named = f" ({error.diag.constraint_name})" if error.diag.constraint_name else ""
            said = f"a pass failed: {where}{primary(error)}{named}"
            raise Rejected(said, "the living database is as it was; the restored one is unfinished") from error


def _large(link: Link) -> tuple[int, str]:
    [[count, total]] = link.execute(_LARGE).fetchall()
    return count, total


def insist_replayable(old: Mapping[str, Layout], living: Mapping[str, Layout], seen: Capture) -> None:
    """Raise Refused with everything that keeps what was written since from being replayed."""
    if found := obstacles(old, living, seen):
        said = "\n".join(found)
        raise Refused(f"what was written since cannot be replayed\n{said}", "nothing was changed; see docs/database.md")
