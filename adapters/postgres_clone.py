"""A scratch database to try a way back on, and what is seen there.

A digest costs time by the row, so nothing is digested twice: a table's rows are those of before as long as its file is
the same, nobody has written to it, and its columns are the same ones. What a script writes to shows in the locks that
it holds when it ends: ROW EXCLUSIVE for rows, a new file for a table that was written anew.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import LiteralString

import psycopg
from psycopg import errors

from adapters import postgres_catalog as catalog
from adapters import postgres_digest as content
from adapters import postgres_invariants as invariants
from adapters import postgres_script as script
from adapters.postgres_batches import drain
from domain.errors import Rejected
from domain.ports import Tool
from domain.schema.backup import TableDigest
from domain.schema.change import MODES, Lock
from domain.schema.invariant import Breach
from domain.schema.rehearsal import Cost, Seen
from domain.schema.tool import last_words

_STATEMENT = 60.0  # seconds that one statement of a version may take
_LOCKS: LiteralString = """
select n.nspname, c.relname, c.relkind, array_agg(distinct l.mode)
from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.granted
  and l.database = (select oid from pg_database where datname = current_database())
  and c.relkind in ('r', 'p', 'm', 'v', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
group by 1, 2, 3
"""
_STATES: LiteralString = """
select n.nspname || '.' || c.relname, pg_relation_filenode(c.oid),
  (select array_agg(a.attnum order by a.attnum) from pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""
State = tuple[int, int, tuple[int, ...]]  # file, when it was written to last (0: never), columns


@dataclass(frozen=True)
class _Held:
    """What a transaction held when it ended: the strongest lock on each relation, and the tables it wrote to."""

    locks: Mapping[str, str]
    written: frozenset[str]
    rows: int = 0


class PostgresClone:
    """A scratch database that `link` (in autocommit) is connected to; `tables`: digests that are known already."""

    def __init__(self, link: catalog.Link, tables: Mapping[str, TableDigest]) -> None:
        self._link = link
        self._writes: dict[str, int] = {}
        self._clock = count(1)
        self._moved: set[str] = set()
        states = self._states()
        self._known: dict[tuple[str, State | None], TableDigest] = {
            (name, states[name]): digest for name, digest in tables.items() if name in states
        }

    @property
    def server(self) -> str:
        """Name the server's version: `18.6`."""
        return catalog.server(self._link)

    def run(self, text: str, *, transactional: bool, timeout: float, batch: int | None = None) -> Cost:
        """Run a script as the migrator would; raises Rejected with the line when it fails."""
        script.refuse_own_transactions(text, "the script")
        self._set_timeout(timeout)
        before, place, began = self._states(), self._place_in_the_log(), time.monotonic()
        pieces = [script.Statement(text, 1)] if transactional else script.statements(text)
        held = [self._piece(piece) for piece in pieces] if batch is None else self._batches(text, batch)
        seconds, wal = time.monotonic() - began, self._place_in_the_log() - place
        after = self._states()
        anew = {name for name in before.keys() & after.keys() if before[name][0] != after[name][0]}
        self._moved |= anew | {name for one in held for name in one.written}
        locks = {name: mode for one in reversed(held) for name, mode in one.locks.items() if name in before}
        return Cost(
            seconds=round(seconds, 3),
            locks=tuple(Lock(relation=_short(name), mode=mode) for name, mode in sorted(locks.items())),
            rewritten=tuple(sorted(map(_short, anew))),
            wal_bytes=wal,
            batches=0 if batch is None else sum(one.rows > 0 for one in held),
        )

    def operate(self, tool: Tool, line: str, *, revision: str = "", timeout: float) -> tuple[Cost, str]:
        """Have a tool run one line here; which tables it writes to is not seen, so all are digested anew."""
        before, place, began = self._states(), self._place_in_the_log(), time.monotonic()
        result = tool.run(line, database=self._link.info.dbname, revision=revision, timeout=timeout)
        seconds, wal, after = time.monotonic() - began, self._place_in_the_log() - place, self._states()
        self._count(frozenset(after))
        if result.exit_code:
            raise Rejected(f"exit code {result.exit_code}: {last_words(result.output)}", "see what it says")
        anew = sorted(name for name in before.keys() & after.keys() if before[name][0] != after[name][0])
        cost = Cost(seconds=round(seconds, 3), rewritten=tuple(map(_short, anew)), wal_bytes=wal)
        return cost, result.output

    def speak(self, statements: str, *, keep: bool) -> tuple[tuple[str, str], ...]:
        """Run a version's statements, each in a savepoint of one transaction; returns those that failed."""
        self._set_timeout(_STATEMENT)
        failed = []
        with self._link.transaction(force_rollback=not keep):
            for statement in script.statements(statements):
                try:
                    with self._link.transaction():
                        self._link.execute(statement.text.encode())
                        self._link.execute("set constraints all immediate")  # as at its commit
                except psycopg.Error as error:
                    self._insist_alive(error)
                    failed.append((statement.headline, error.diag.message_primary or type(error).__name__))
            held = self._held()
        if keep:
            self._count(held.written)
            self._moved |= held.written
        return tuple(failed)

    def look(self, *, rows_only: bool = False) -> Seen:
        """Fingerprint the schema, and digest each table that may have changed."""
        self._set_timeout(0)
        with catalog.steady(self._link):
            roots, states = content.roots(self._link), self._states()
            whole = [] if rows_only else [table for table in roots if table.whole]
            tables, digest = (roots, self._rows) if rows_only else (content.tables(self._link), self._digest)
            return Seen(
                fingerprint=catalog.fingerprint(self._link)[: catalog.STRUCTURE],
                tables={
                    **{str(table): self._rows(table, None) for table in whole},
                    **{str(table): digest(table, states.get(str(table))) for table in tables},
                },
                columns={str(it): content.columns(self._link, it) for it in tables if str(it) in self._moved},
                sequences=content.positions(self._link),
                unvalidated=invariants.unvalidated(self._link),
            )

    def breaches(self, asked: Mapping[str, str], timeout: float) -> tuple[Breach, ...]:
        """Ask each query, by name, as the database would be asked."""
        return invariants.breaches(self._link, asked, timeout)

    def rewind(self, sequences: Mapping[str, int]) -> None:
        """Have sequences stand where they stood by an earlier look."""
        content.rewind(self._link, sequences)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Undo whatever the block does, and forget that it was done."""
        writes, moved = dict(self._writes), set(self._moved)
        try:
            with self._link.transaction(force_rollback=True):
                yield
        finally:
            self._writes, self._moved = writes, moved

    def _digest(self, table: content.Table, state: State | None) -> TableDigest:
        key = (str(table), state)
        if key not in self._known:
            self._known[key] = content.digest(self._link, table)
        return self._known[key]

    def _rows(self, table: content.Table, _: State | None) -> TableDigest:
        return TableDigest(rows=content.count(self._link, table), sum="", xor="")

    def _batches(self, text: str, size: int) -> list[_Held]:
        held: list[_Held] = []

        def change(statement: str) -> int:
            held.append(self._piece(script.Statement(statement, 1)))
            return held[-1].rows

        drain(self._link, text, size, change)
        return held

    def _piece(self, piece: script.Statement) -> _Held:
        """Run one piece in a transaction of its own, or without one where PostgreSQL wants none."""
        try:
            if piece.concurrent:
                self._link.execute(piece.text.encode())
                return _Held({}, frozenset())
            with self._link.transaction():
                changed = self._link.execute(piece.text.encode()).rowcount
                held = self._held(changed)
            self._count(held.written)
            return held
        except errors.ActiveSqlTransaction:
            self._link.execute(piece.text.encode())
            everything = frozenset(self._states())
            self._count(everything)  # nobody saw what it held
            return _Held({}, everything)
        except psycopg.Error as error:
            self._insist_alive(error)
            position = error.diag.statement_position
            line = piece.line + (piece.text.count("\n", 0, int(position) - 1) if position else 0)
            raise Rejected(f"line {line}: {error.diag.message_primary or type(error).__name__}") from error

    def _held(self, rows: int = 0) -> _Held:
        locks, written = {}, set()
        for schema, relation, kind, modes in self._link.execute(_LOCKS).fetchall():
            said = [_SPELLED[mode] for mode in modes]
            locks[f"{schema}.{relation}"] = max(said, key=MODES.index)
            if kind in "rm" and "ROW EXCLUSIVE" in said:
                written.add(f"{schema}.{relation}")
        return _Held({name: mode for name, mode in locks.items() if mode != "ACCESS SHARE"}, frozenset(written), rows)

    def _count(self, written: frozenset[str]) -> None:
        for name in written:
            self._writes[name] = next(self._clock)

    def _states(self) -> dict[str, State]:
        rows = self._link.execute(_STATES).fetchall()
        return {name: (file, self._writes.get(name, 0), tuple(columns or ())) for name, file, columns in rows}

    def _place_in_the_log(self) -> int:
        """Tell where the server's write-ahead log is, in bytes; other databases of the server write there, too."""
        [[place]] = self._link.execute("select (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchall()
        return int(place)

    def _set_timeout(self, seconds: float) -> None:
        self._link.execute("select set_config('statement_timeout', %s, false)", (f"{round(seconds * 1000)}ms",))

    def _insist_alive(self, error: psycopg.Error) -> None:
        if self._link.broken:
            raise error


_SPELLED = {"".join(word.capitalize() for word in mode.split()) + "Lock": mode for mode in MODES}
"""`AccessExclusiveLock`, as pg_locks has it, is ACCESS EXCLUSIVE in the manual."""


def _short(name: str) -> str:
    return name.removeprefix("public.")
