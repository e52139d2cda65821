"""One migrator at a database: alone, under its token, and never making users queue.

A request for a lock that is not granted at once makes every later request on that table queue behind it: the wait of
the migrator is a stall of the users. So it looks first and stays out of the queue while a long transaction holds its
tables; it gives up a lock after `lock_timeout`; and it then keeps away nine times as long (a duty cycle of 10 %).

One migrator works on a database at a time. One that was stopped is followed by the next when the server has ended its
session, which it does after five seconds of silence (postgres_fence); one that is only slow finishes its statement.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

import psycopg
from psycopg import errors, sql
from psycopg.pq import TransactionStatus

from adapters import postgres_catalog as catalog
from adapters import postgres_fence as fence
from adapters import postgres_history as history
from adapters import postgres_script as script
from domain.errors import Invalid, Rejected
from domain.schema.migration import Migration

_LONG = 0.25  # seconds: a transaction older than this is not queued behind
_POLL = 0.1  # seconds between looks
_REST = 9.0  # times the wait: at most a tenth of the time is spent in a lock queue
_LONGEST_REST = 1.0  # seconds, unless lock_timeout itself asks for more
_NO_ROWS = ("AccessShareLock",)  # whoever holds more than this may hold a row
LOCKED = (errors.LockNotAvailable, errors.DeadlockDetected)


@dataclass
class Turn:
    """One attempt at one script; `budget` is the time in seconds left for locks, `done` the statements behind it."""

    link: catalog.Link
    step: Migration
    release: str
    token: int
    lock_timeout: float
    budget: float
    attempts: int = 0
    waited: float = 0.0
    done: int = 0
    changed: int = 0
    beside: tuple[str, ...] = ()
    """Modes that the script's locks go along with, as pg_locks names them: who holds those keeps nobody waiting."""

    def begin(self) -> None:
        """Be the only one, and the newest owner. Raises Conflict for a newer one, Rejected without a lock, Invalid."""
        if self.step.by == "sql":
            script.refuse_own_transactions(self.step.up, self.step.label)
        if self.lock_timeout < 0.001:
            raise Invalid(f"lock_timeout is {self.lock_timeout} s; 0 would wait for ever", "set at least 1ms")
        self.set("lock_timeout", self.lock_timeout)
        self.set("idle_in_transaction_session_timeout", fence.NAP)
        self.set("idle_session_timeout", fence.NAP + max(_REST * self.lock_timeout, self.step.pause))
        if fence.exists(self.link):
            with suppress(*LOCKED):  # an older owner is writing just now: the advisory lock waits for it
                self.insist()
        self._be_the_only_one()
        self._have_tables()
        self.insist()

    def _be_the_only_one(self) -> None:
        """Take the advisory lock by asking again: a session that waits for it would hold up an index build."""
        while not self.link.execute("select pg_try_advisory_lock(%s)", (fence.ADVISORY,)).fetchall()[0][0]:
            holder = self.link.execute(
                "select string_agg(pid::text, ', ')" + fence.MIGRATORS, (fence.ADVISORY,)
            ).fetchall()[0][0]
            self._spend(_POLL, [f"pid {holder} is migrating this database"])
            time.sleep(_POLL)

    def _have_tables(self) -> None:
        """Create what is missing; a database that was migrated before there were tokens lacks the fence."""
        both = "select to_regclass('public.interlock_migrations'), to_regclass('public.interlock_fence')"
        if all(self.link.execute(both).fetchall()[0]):
            return
        try:
            self.link.execute(history.TABLE + ";" + fence.TABLE)
        except errors.InsufficientPrivilege as error:
            [[role]] = self.link.execute("select current_user").fetchall()
            hint = f'GRANT CREATE ON SCHEMA public TO "{role}";'
            raise Invalid(f"{self.step.label}: {role} may not create interlock_migrations", hint) from error

    def insist(self) -> None:
        """Have the token count; raises Conflict when a newer owner has been here."""
        fence.insist(self.link, self.token, f"{self.step.label}, {self.progress}")

    @contextmanager
    def as_owner(self) -> Iterator[None]:
        """Open a transaction in which no newer owner can overtake this one; raises Conflict when one has."""
        with self.link.transaction():
            self.insist()
            yield

    def whole(self, finish: Callable[[float], None], text: str | None = None) -> None:
        """Run the script and `finish` (it is told when that began, on the monotonic clock) in one transaction.

        `text` is run in the script's place; `changed` has the rows of its last statement.
        """
        text = self.step.up if text is None else text
        while True:
            self._stay_out_of_the_queue()
            began = time.monotonic()
            try:
                with self.as_owner():
                    self.changed = self.link.execute(text.encode()).rowcount
                    if self.link.info.transaction_status is not TransactionStatus.INTRANS:
                        raise Rejected(f"{self.step.label} left its transaction", "split the script")
                    finish(began)
                return
            except LOCKED:
                self._rest(time.monotonic() - began)
            except psycopg.Error as error:
                raise self.failed(error, script.Statement(text, 1), self.progress) from error

    def single(self, statement: script.Statement, in_doubt: tuple[type[psycopg.Error], ...]) -> None:
        """Run one statement; `in_doubt`: a migrator died on it, and these errors say that it is done already.

        CONCURRENTLY takes a lock that keeps no reader or writer waiting (SHARE UPDATE EXCLUSIVE, manual 13.3) and then
        waits for transactions, not in a queue: it may wait as long as the budget lasts, and is not worth repeating.
        """
        while True:
            if not statement.concurrent:
                self._stay_out_of_the_queue()
            began = time.monotonic()
            self.set("lock_timeout", max(self.lock_timeout, self.budget if statement.concurrent else 0.0))
            try:
                self.link.execute(statement.text.encode())
                return
            except LOCKED:
                self.drop_invalid(set())
                self._rest(time.monotonic() - began)
            except psycopg.Error as error:
                if isinstance(error, in_doubt):
                    return
                raise self.failed(error, statement, self.progress) from error
            finally:
                self.set("lock_timeout", self.lock_timeout)

    @cached_property
    def targets(self) -> list[int]:
        """The tables and views that the script may lock, by OID."""
        return catalog.targets(self.link, script.names(self.step.up))

    @property
    def progress(self) -> str:
        """Say what a failure leaves behind."""
        if not self.done:
            return "nothing was changed"
        what = "statements" if self.step.batch is None else "batches"
        return f"the first {self.done} {what} stay done; the next attempt goes on after them"

    def _stay_out_of_the_queue(self) -> None:
        while blockers := catalog.holders(self.link, self.targets, _LONG, self.beside):
            self._spend(_POLL, blockers)
            time.sleep(_POLL)
        self.attempts += 1

    def _rest(self, stalled: float) -> None:
        """Keep away after a lock was not granted; jitter, so that two who meet do not meet again."""
        self.waited += stalled
        least = _REST * self.lock_timeout
        pause = max(least, min(_REST * stalled * random.uniform(1.0, 1.5), _LONGEST_REST))
        found = catalog.holders(self.link, self.targets, 0.0, self.beside)
        self._spend(stalled + pause, found or catalog.holders(self.link, self.targets, 0.0, _NO_ROWS))
        time.sleep(pause)

    def _spend(self, seconds: float, blockers: list[str]) -> None:
        self.budget -= seconds
        if self.budget <= 0:
            who = "\n".join(blockers) or "the holder is gone by now, or is a prepared transaction"
            raise Rejected(
                f"{self.step.label}: no lock within the budget, {self.attempts} attempts; {self.progress}\n{who}",
                "end the blocking transaction, or migrate at a quieter time"
                " (GRANT pg_read_all_stats to the migrator to see the age of others' transactions)",
            )

    def failed(self, error: psycopg.Error, statement: script.Statement, then: str) -> Rejected:
        """Say where a script failed and what that leaves; an error that broke the connection is raised as it is."""
        if self.link.broken:
            raise error  # becomes Unavailable; a commit in doubt is settled by its row on the next attempt
        position = error.diag.statement_position
        line = statement.line + (statement.text.count("\n", 0, int(position) - 1) if position else 0)
        reason = error.diag.message_primary or type(error).__name__
        where = f", line {line}" if position or statement.line > 1 else ""
        if isinstance(error, errors.QueryCanceled):
            reason += f" (timeout={self.step.timeout:g}s)"
        return Rejected(f"{self.step.label}{where}: {reason}; {then}", error.diag.message_hint or "mend the migration")

    def drop_invalid(self, keep: set[str]) -> None:
        """Drop what an interrupted CREATE INDEX CONCURRENTLY left behind, but for these."""
        for name in catalog.invalid_indexes(self.link, self.targets) - keep:
            self.set("lock_timeout", max(self.lock_timeout, self.budget))
            try:
                self.link.execute(sql.SQL("drop index concurrently if exists {}").format(sql.SQL(name)))
            except LOCKED:
                continue  # it stays, unused; the next attempt drops it
            finally:
                self.set("lock_timeout", self.lock_timeout)

    def set(self, name: str, seconds: float) -> None:
        """Set a time-out of the session."""
        self.link.execute("select set_config(%s, %s, false)", (name, f"{max(1, round(seconds * 1000))}ms"))
