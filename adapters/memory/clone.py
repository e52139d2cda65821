"""A copy of a database in memory, to try a way back on; and what SQLite tells of any of them."""

import hashlib
import json
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from adapters import postgres_script as script
from domain.errors import Rejected
from domain.ports import Tool
from domain.schema.backup import TableDigest
from domain.schema.batched import run_out
from domain.schema.invariant import SHOWN, Breach
from domain.schema.rehearsal import Cost, Seen

_UNLOCKED = re.compile(r"\bfor\s+(?:no\s+key\s+)?update\b(?:\s+skip\s+locked\b)?", re.IGNORECASE)  # SQLite has one lock


class MemoryClone:
    """Runs the SQL that SQLite and PostgreSQL share; what it costs is told in seconds only."""

    def __init__(self, link: sqlite3.Connection) -> None:
        self._link = link
        self._depth = 0

    @property
    def server(self) -> str:
        """Name SQLite's version."""
        return sqlite3.sqlite_version

    def run(
        self,
        text: str,
        *,
        transactional: bool,  # noqa: ARG002  # SQLite has no statement that wants none
        timeout: float,  # noqa: ARG002  # nor this
        batch: int | None = None,
    ) -> Cost:
        """Run a script in a transaction, or in one for each batch; raises Rejected with the line when it fails."""
        script.refuse_own_transactions(text, "the script")
        began, batches = time.monotonic(), 0
        if batch is None:
            self._change(text)
        else:
            text, line = _UNLOCKED.sub("", text), script.statements(text)[0].line
            batches = sum(1 for _ in run_out(f"line {line}", text, batch, self._change, self._rows))
        return Cost(seconds=round(time.monotonic() - began, 3), batches=batches)

    def _change(self, text: str) -> int:
        """Run a script in a transaction; returns how many rows its last statement has changed."""
        changed = 0
        with self._savepoint():
            for statement in script.statements(text):
                try:
                    changed = self._link.execute(statement.text).rowcount
                except sqlite3.Error as error:
                    raise Rejected(f"line {statement.line}: {error}") from error
        return changed

    def _rows(self) -> int:
        return sum(digest.rows for digest in digests(self._link).values())

    def operate(self, tool: Tool, line: str, *, revision: str = "", timeout: float) -> tuple[Cost, str]:
        """Have a tool run one line; it finds no database here, and what it would do is up to the test."""
        result = tool.run(line, database="a copy in memory", revision=revision, timeout=timeout)
        if result.exit_code:
            raise Rejected(f"exit code {result.exit_code}: {result.output.strip()}", "see what it says")
        return Cost(seconds=0.0), result.output

    def speak(self, statements: str, *, keep: bool) -> tuple[tuple[str, str], ...]:
        """Run a version's statements, each in a savepoint of one transaction; returns those that failed."""
        failed = []
        with self._savepoint(keep=keep):
            for statement in script.statements(statements):
                try:
                    with self._savepoint():
                        self._link.execute(statement.text).fetchall()
                except sqlite3.Error as error:
                    failed.append((statement.headline, str(error)))
        return tuple(failed)

    def rewind(self, sequences: Mapping[str, int]) -> None:
        """SQLite has no sequences."""

    def undone(self) -> AbstractContextManager[None]:
        """Undo whatever the block does."""
        return self._savepoint(keep=False)

    @contextmanager
    def _savepoint(self, *, keep: bool = True) -> Iterator[None]:
        """Undo the block when it fails, or in any case; they nest."""
        self._depth += 1
        name = f"depth_{self._depth}"
        self._link.execute(f"savepoint {name}")
        try:
            yield
        except BaseException:
            keep = False
            raise
        finally:
            if not keep:
                self._link.execute(f"rollback to {name}")
            self._link.execute(f"release {name}")
            self._depth -= 1

    def look(self, *, rows_only: bool = False) -> Seen:
        """Fingerprint the schema and digest every table and every column of it."""
        found = digests(self._link)
        if rows_only:
            found = {name: TableDigest(rows=digest.rows, sum="", xor="") for name, digest in found.items()}
        columns = {f"public.{table}": _columns(self._link, table) for table in _tables(self._link)}
        return Seen(fingerprint=fingerprint(self._link), tables=found, columns=columns)

    def breaches(self, invariants: Mapping[str, str], timeout: float) -> tuple[Breach, ...]:  # noqa: ARG002  # likewise
        """Ask each query, by name, for rows; list those that return any, or fail."""
        asked = (self._ask(name, query) for name, query in invariants.items())
        return tuple(breach for breach in asked if breach)

    def _ask(self, name: str, query: str) -> Breach | None:
        try:
            with self._savepoint(keep=False):
                rows = self._link.execute(query).fetchall()
        except sqlite3.Error as error:
            return Breach(name=name, error=str(error))
        first = tuple(f"({','.join(map(str, row))})" for row in rows[:SHOWN])
        return Breach(name=name, rows=len(rows), first=first) if rows else None


def fingerprint(link: sqlite3.Connection) -> str:
    """Hash a schema; 64 hex digits."""
    columns = {
        table: sorted(
            map(repr, link.execute('select name, type, "notnull", dflt_value, pk from pragma_table_xinfo(?)', (table,)))
        )
        for table in _tables(link)
    }
    others = sorted(map(repr, link.execute("select type, name, sql from sqlite_master where type <> 'table'")))
    return hashlib.sha256(json.dumps([columns, others]).encode()).hexdigest()


def digests(link: sqlite3.Connection) -> dict[str, TableDigest]:
    """Digest the rows of every table, whatever the order of its columns."""
    return {f"public.{table}": _digest(link, table, *_names(link, table)) for table in _tables(link)}


def _columns(link: sqlite3.Connection, table: str) -> dict[str, TableDigest]:
    return {name: _digest(link, table, name) for name in _names(link, table)}


def _names(link: sqlite3.Connection, table: str) -> list[str]:
    return [name for (name,) in link.execute("select name from pragma_table_xinfo(?) order by 1", (table,))]


def _digest(link: sqlite3.Connection, table: str, *columns: str) -> TableDigest:
    what = ", ".join(f'"{column}"' for column in columns)
    rows = [hashlib.sha256(repr(row).encode()).digest() for row in link.execute(f'select {what} from "{table}"')]
    numbers = [int.from_bytes(row[:8]) for row in rows]
    xor = 0
    for number in numbers:
        xor ^= number
    return TableDigest(rows=len(rows), sum=str(sum(numbers)), xor=str(xor))


def _tables(link: sqlite3.Connection) -> list[str]:
    found = link.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%' order by 1")
    return [name for (name,) in found]
