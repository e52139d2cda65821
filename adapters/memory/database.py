"""A database, in memory: SQLite, so that SQL really runs, fails and rolls back."""

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import IO

import zstandard

from adapters import postgres_script as script
from adapters.memory.clone import MemoryClone, digests, fingerprint
from domain.environment.orphans import Belonging
from domain.errors import Conflict, Invalid, Rejected, Unavailable
from domain.ports import Tool
from domain.schema.backup import Backup
from domain.schema.invariant import Breach
from domain.schema.migration import Applied, Migration

_FORMAT = "sqlite image, zstd"


class MemoryDatabase:
    """Runs the SQL that SQLite and PostgreSQL share.

    While `holder` names somebody, every lock is theirs and a migration spends its budget at once; while `down` is
    True nothing answers. `scratches`: scratch databases that verifications left behind.
    """

    def __init__(self) -> None:
        self.holder = ""
        self.down = False
        self.scratches: list[Belonging] = []
        self._applied: dict[int, Applied] = {}
        self._failed: set[str] = set()
        self._token = 0
        self._link = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._link.execute("pragma user_version = 1")  # an empty database has no page, and cannot be serialized
        self._lock = threading.RLock()

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Do what an application would: run one statement, return its rows."""
        with self._answering():
            return self._link.execute(statement).fetchall()

    def fingerprint(self) -> str:
        """Hash the schema; 64 hex digits."""
        with self._answering():
            return fingerprint(self._link)

    def server(self) -> str:
        """Name SQLite's version."""
        with self._answering():
            return sqlite3.sqlite_version

    def applied(self) -> tuple[Applied, ...]:
        """List what was applied, in order."""
        with self._answering():
            return tuple(self._applied[number] for number in sorted(self._applied))

    def rows(self) -> Mapping[str, int]:
        """Count the rows of every table."""
        with self._answering():
            return {table: digest.rows for table, digest in digests(self._link).items()}

    def breaches(self, invariants: Mapping[str, str], timeout: float) -> tuple[Breach, ...]:
        """Ask each query, by name, for rows; list those that return any, or fail."""
        with self._answering():
            return MemoryClone(self._link).breaches(invariants, timeout)

    def migrate(
        self,
        step: Migration,
        release: str,
        token: int,
        lock_timeout: float = 0.05,
        lock_budget: float = 30.0,
        tool: Tool | None = None,
    ) -> Applied:
        """Apply one migration.

        Raises Rejected when its SQL fails or somebody holds the locks, Conflict when it was edited or the token is old.
        """
        if step.by == "sql":
            script.refuse_own_transactions(step.up, step.label)
        with self._answering():
            self._insist(token, step.label)
            if known := self._applied.get(step.number):
                if known.checksum != step.checksum:
                    raise Conflict(f"{step.label}: {known.release} applied another script", "add a new migration")
                return known
            if self.holder:
                budget = f"no lock within {lock_budget:g} s ({lock_timeout:g} s at a time)"
                raise Rejected(f"{step.label}: {budget}; nothing was changed\n{self.holder}", "end the transaction")
            if step.by == "tool":
                self._operate(step, tool)
            else:
                self._run(step)
            told = step.model_dump(include={"number", "name", "phase"}) | {"checksum": step.checksum}
            row = Applied(**told, release=release, fingerprint=fingerprint(self._link))
            self._applied[step.number] = row
            return row

    def begun(self, step: Migration) -> bool:
        """Tell whether a tool failed in this step, and left the schema part way."""
        return step.checksum in self._failed

    def claim(self, token: int) -> None:
        """Refuse older owners from now on."""
        with self._answering():
            self._insist(token, "the database")

    def backup(self, into: IO[bytes]) -> Backup:
        """Write an image of the whole database, and digest every table."""
        with self._answering():
            try:
                into.write(zstandard.ZstdCompressor(write_checksum=True).compress(self._link.serialize()))
                into.flush()
            except OSError as error:
                raise Unavailable("the store is full, or broke off", "free or add space, then try again") from error
            return Backup(
                format=_FORMAT,
                server=sqlite3.sqlite_version,
                fingerprint=fingerprint(self._link),
                tables=digests(self._link),
            )

    def verify(self, stored: IO[bytes], backup: Backup) -> None:
        """Load a stored image beside this database and compare; raises Rejected naming what differs."""
        with self._restored(stored) as copy:
            tables, schema = digests(copy), fingerprint(copy)
        names = tables.keys() | backup.tables.keys()
        problems = sorted(name for name in names if tables.get(name) != backup.tables.get(name))
        problems += ["the schema"] if schema != backup.fingerprint else []
        if problems:
            raise Rejected(f"the restored backup differs in: {', '.join(problems)}", "take a new backup")

    @contextmanager
    def clone(self, stored: IO[bytes], _backup: Backup) -> Iterator[MemoryClone]:
        """Load a stored image beside this database, to try things on."""
        with self._restored(stored) as copy:
            yield MemoryClone(copy)

    @contextmanager
    def _restored(self, stored: IO[bytes]) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
            try:
                unpacker = zstandard.ZstdDecompressor().decompressobj()
                image = unpacker.decompress(stored.read())
                if not unpacker.eof:
                    raise Rejected("the stored backup is cut off", "take a new backup")
                copy.deserialize(image)
                fingerprint(copy)  # SQLite reads nothing before it is asked
            except (sqlite3.DatabaseError, zstandard.ZstdError) as error:
                raise Rejected(f"the stored backup is damaged: {error}", "take a new backup") from error
            yield copy

    def belongings(self) -> tuple[Belonging, ...]:
        """List the scratch databases."""
        with self._answering():
            return tuple(self.scratches)

    def discard(self, belonging: Belonging, _token: int) -> bool:
        """Forget a scratch database; False while it is in use."""
        with self._answering():
            if any(it.id == belonging.id and it.in_use for it in self.scratches):
                return False
            self.scratches[:] = [it for it in self.scratches if it.id != belonging.id]
            return True

    def _operate(self, step: Migration, tool: Tool | None) -> None:
        if tool is None:
            raise Invalid(f"{step.label} is by tool, and no image is at hand", "let a release apply it")
        before = fingerprint(self._link)
        result = tool.run(step.up, timeout=step.timeout)
        if result.exit_code:
            if fingerprint(self._link) != before:
                self._failed.add(step.checksum)
            raise Rejected(f"{step.label}: the tool ended with {result.exit_code}", "mend the migration")
        self._failed.discard(step.checksum)

    def _run(self, step: Migration) -> None:
        try:
            MemoryClone(self._link).run(step.sql, transactional=True, timeout=step.timeout, batch=step.batch)
        except Rejected as error:
            left = "nothing was changed" if step.batch is None else "the batches before it stay done"
            raise Rejected(f"{step.label}, {error.message}; {left}", "mend the migration") from error

    def _insist(self, token: int, what: str) -> None:
        if self._token > token:
            newer = f"a newer owner has migrated, token {self._token}; mine is {token}"
            raise Conflict(f"{what}: {newer}; nothing was changed", "change nothing more")
        self._token = token

    @contextmanager
    def _answering(self) -> Iterator[None]:
        if self.down:
            raise Unavailable("the database in memory is down", "set down = False")
        with self._lock:
            yield
