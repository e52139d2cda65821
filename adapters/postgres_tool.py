"""One migration, performed by a service's own tool: run again while it meets locks, and kept from making users queue.

Its sessions are not ours. While it runs, the migrator's role gives up a lock after `lock_timeout` in this database and
may not idle in a transaction; a session that waits all the same, since the tool set another time-out, is cancelled.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from adapters import postgres_catalog as catalog
from adapters import postgres_fence as fence
from adapters import postgres_history as history
from adapters.postgres_migrate import Migrator
from domain.errors import Invalid, Rejected
from domain.ports import Tool
from domain.release.artifact import CommandResult
from domain.schema.tool import last_words, met_a_lock

_LOOK = 0.05  # seconds between looks for sessions that wait
_GRACE = 3.0  # times lock_timeout: who waits longer than this does not know of it
_CANCEL: LiteralString = """
select count(pg_cancel_backend(pid)) from pg_stat_activity
where usename = current_user and datname = current_database() and pid <> pg_backend_pid() and application_name = %s
  and wait_event_type = 'Lock' and state_change < clock_timestamp() - make_interval(secs => %s)
"""


@dataclass
class ByTool(Migrator):
    """One attempt to have the tool bring the schema where its image wants it."""

    tool: Tool | None = None
    cancelled: int = 0

    def _piecewise(self, state: str) -> None:  # noqa: ARG002  # a tool keeps count itself
        if self.tool is None:
            raise Invalid(f"{self.step.label} is by tool, and no image is at hand", "let a release apply it")
        began = time.monotonic()
        with self.as_owner():
            self._record("running", began)
        try:
            self._until_done(self.tool)
        except Rejected:
            with catalog.snapshot(self.link):
                same = catalog.fingerprint(self.link) == self.before
            if same:
                history.forget(self.link, self.step.number)
            else:
                history.change(self.link, self.step.number, "state", "failed")
            raise
        with self.as_owner():
            self._record("applied", began)

    def _until_done(self, tool: Tool) -> None:
        """Run the tool until it says that it is done; one that only met a lock goes on where it stopped."""
        while True:
            self.attempts += 1
            self.insist()
            began, before = time.monotonic(), self.cancelled
            with self._patience_of_the_role():
                result = self._watched(tool)
            if result.exit_code == 0:
                return
            said = last_words(result.output)
            if not (met_a_lock(result.output) or self.cancelled > before):
                raise Rejected(
                    f"{self.step.label}: the tool ended with {result.exit_code}; what it did until then stays\n{said}",
                    "mend the migration: the next attempt goes on after what is done",
                )
            self.targets = []  # whose locks they are, only the tool knows
            self._rest(time.monotonic() - began)

    def _watched(self, tool: Tool) -> CommandResult:
        """Run the tool, and cancel whatever of its sessions waits for a lock for too long."""
        late = max(_GRACE * self.lock_timeout, 2 * _LOOK)
        with ThreadPoolExecutor(1) as beside:
            running = beside.submit(tool.run, self.step.up, timeout=self.step.timeout)
            while not running.done():
                [[cancelled]] = self.link.execute(_CANCEL, (fence.TOOL, late)).fetchall()
                self.cancelled += cancelled
                wait([running], timeout=_LOOK)
            return running.result()

    @contextmanager
    def _patience_of_the_role(self) -> Iterator[None]:
        """Have the sessions that begin meanwhile carry our name and time-outs; clients may set others."""
        given = {
            "lock_timeout": f"{round(self.lock_timeout * 1000)}ms",
            "idle_in_transaction_session_timeout": f"{round(fence.NAP * 1000)}ms",
            "application_name": fence.TOOL,
        }
        for name, value in given.items():
            self._of_role(sql.SQL("set {} to {}").format(sql.Identifier(name), sql.Literal(value)))
        try:
            yield
        finally:
            with suppress(psycopg.OperationalError):  # the session was ended: the next migrator resets them
                for name in given:
                    self._of_role(sql.SQL("reset {}").format(sql.Identifier(name)))

    def _of_role(self, what: sql.Composed) -> None:
        alter: LiteralString = "alter role current_user in database {} {}"
        self.link.execute(sql.SQL(alter).format(sql.Identifier(self.link.info.dbname), what))
