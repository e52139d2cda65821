"""One migration, applied without ever making users queue.

A request for a lock that is not granted at once makes every later request on that table queue behind it: the wait of
the migrator is a stall of the users. So it looks first and stays out of the queue while a long transaction holds its
tables; it gives up a lock after `lock_timeout`; and it then keeps away nine times as long (a duty cycle of 10 %).

One migrator works on a database at a time. One that was stopped is followed by the next when the server has ended its
session, which it does after five seconds of silence (postgres_fence); one that is only slow finishes its statement.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, LiteralString

import psycopg
from psycopg import errors, sql
from psycopg.pq import TransactionStatus

from adapters import postgres_catalog as catalog
from adapters import postgres_fence as fence
from adapters import postgres_script as script
from domain.errors import Conflict, Invalid, Rejected
from domain.schema.migration import Applied, Migration

_TABLE: LiteralString = """
create table if not exists public.interlock_migrations (
  number integer primary key, name text not null, phase text not null, checksum text not null,
  down text, down_checksum text, release text not null,
  state text not null check (state in ('running', 'failed', 'applied')), statements integer not null default 0,
  fingerprint_before text, fingerprint_after text,
  attempts integer not null, lock_wait_ms integer not null, exec_ms integer not null,
  applied_at timestamptz not null default clock_timestamp())
"""
_ROW: LiteralString = """
insert into public.interlock_migrations (number, name, phase, checksum, down, down_checksum, release, state,
  fingerprint_before, attempts, lock_wait_ms, exec_ms)
values (%(number)s, %(name)s, %(phase)s, %(checksum)s, %(down)s, encode(sha256(convert_to(%(down)s, 'UTF8')), 'hex'),
  %(release)s, %(state)s, %(before)s, %(attempts)s, %(lock_wait_ms)s, %(exec_ms)s)
on conflict (number) do update set name = excluded.name, phase = excluded.phase, checksum = excluded.checksum,
  down = excluded.down, down_checksum = excluded.down_checksum, release = excluded.release, state = excluded.state,
  attempts = excluded.attempts, lock_wait_ms = excluded.lock_wait_ms, exec_ms = excluded.exec_ms,
  applied_at = clock_timestamp()
"""
_LONG = 0.25  # seconds: a transaction older than this is not queued behind
_POLL = 0.1  # seconds between looks
_REST = 9.0  # times the wait: at most a tenth of the time is spent in a lock queue
_LONGEST_REST = 1.0  # seconds, unless lock_timeout itself asks for more
_LOCKED = (errors.LockNotAvailable, errors.DeadlockDetected)
_ALREADY = (errors.DuplicateTable, errors.DuplicateObject, errors.DuplicateColumn)


def applied(link: catalog.Link) -> tuple[Applied, ...]:
    """List what was applied, in order; a database that was never migrated has nothing."""
    [[table]] = link.execute("select to_regclass('public.interlock_migrations')").fetchall()
    if table is None:
        return ()
    rows = link.execute(
        "select number, name, phase, checksum, release, fingerprint_after from public.interlock_migrations"
        " where state = 'applied' order by number"
    )
    return tuple(
        Applied(number=number, name=name, phase=phase, checksum=checksum, release=release, fingerprint=fingerprint)
        for number, name, phase, checksum, release, fingerprint in rows
    )


@dataclass
class Migrator:
    """One attempt to bring one migration into one database; `budget` is the time in seconds left for locks."""

    link: catalog.Link
    step: Migration
    release: str
    token: int
    lock_timeout: float
    budget: float
    attempts: int = 0
    waited: float = 0.0
    before: str = ""
    done: int = 0

    def run(self) -> Applied:
        """Apply the step, or find it applied. Raises Rejected, Conflict or Invalid as the port says."""
        script.refuse_own_transactions(self.step.up, self.step.label)
        if self.lock_timeout < 0.001:
            raise Invalid(f"lock_timeout is {self.lock_timeout} s; 0 would wait for ever", "set at least 1ms")
        self._set("lock_timeout", self.lock_timeout)
        self._set("idle_in_transaction_session_timeout", fence.NAP)
        self._set("idle_session_timeout", fence.NAP + _REST * self.lock_timeout)
        if fence.exists(self.link):
            with suppress(*_LOCKED):  # an older owner is writing just now: the advisory lock waits for it
                self._insist()
        self._be_the_only_one()
        self._have_tables()
        self._insist()
        state = self._standing()
        if state == "applied":
            return self._result
        self._set("statement_timeout", self.step.timeout)
        with catalog.snapshot(self.link):
            self.before = catalog.fingerprint(self.link)
        if self.step.transactional:
            self._whole()
        else:
            self._piecewise(state)
        with catalog.snapshot(self.link):
            after = catalog.fingerprint(self.link)
        self.link.execute(
            "update public.interlock_migrations set fingerprint_after = %s where number = %s", (after, self.step.number)
        )
        return self._result

    @property
    def _result(self) -> Applied:
        return next(row for row in applied(self.link) if row.number == self.step.number)

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
            self.link.execute(_TABLE + ";" + fence.TABLE)
        except errors.InsufficientPrivilege as error:
            [[role]] = self.link.execute("select current_user").fetchall()
            hint = f'GRANT CREATE ON SCHEMA public TO "{role}";'
            raise Invalid(f"{self.step.label}: {role} may not create interlock_migrations", hint) from error

    def _standing(self) -> str:
        """Read the step's row: its state, empty when there is none. Raises Conflict when it holds another script."""
        found = self.link.execute(
            "select state, checksum, statements, release from public.interlock_migrations where number = %s",
            (self.step.number,),
        ).fetchone()
        if found is None:
            return ""
        state, checksum, self.done, release = found
        if checksum != self.step.checksum and (state == "applied" or self.done):
            raise Conflict(
                f"{self.step.label}: {release} {state} another script under this number",
                "bring back the script that was applied, and add a new migration instead",
            )
        return str(state)

    def _insist(self) -> None:
        fence.insist(self.link, self.token, f"{self.step.label}, {self._progress}")

    @contextmanager
    def _as_owner(self) -> Iterator[None]:
        """Open a transaction in which no newer owner can overtake this one; raises Conflict when one has."""
        with self.link.transaction():
            self._insist()
            yield

    def _whole(self) -> None:
        """Run the script and write its row in one transaction."""
        while True:
            self._stay_out_of_the_queue()
            began = time.monotonic()
            try:
                with self._as_owner():
                    self.link.execute(self.step.up.encode())
                    if self.link.info.transaction_status is not TransactionStatus.INTRANS:
                        raise Rejected(f"{self.step.label} left its transaction", "split the script")
                    self._record("applied", began)
                return
            except _LOCKED:
                self._rest(time.monotonic() - began)
            except psycopg.Error as error:
                raise self._failed(error, script.Statement(self.step.up, 1), "nothing was changed") from error

    def _piecewise(self, state: str) -> None:
        """Run the script statement by statement, keeping count, so that a migrator that dies can be followed up."""
        known = set() if state else catalog.invalid_indexes(self.link, self._targets)
        statements = script.statements(self.step.up)
        if state:
            self._drop_invalid(known)
        began = time.monotonic()
        with self._as_owner():
            self._record("running", began)
        try:
            for number, statement in enumerate(statements[self.done :], start=self.done + 1):
                self._insist()
                self._single(statement, in_doubt=state == "running" and number == self.done + 1)
                self.done = number
                self._update("statements", number)
        except Rejected:
            self._drop_invalid(known)
            if self.done or catalog.invalid_indexes(self.link, self._targets) - known:
                self._update("state", "failed")
            else:
                self.link.execute("delete from public.interlock_migrations where number = %s", (self.step.number,))
            raise
        with self._as_owner():
            self._record("applied", began)

    def _single(self, statement: script.Statement, *, in_doubt: bool) -> None:
        """Run one statement; `in_doubt`: a migrator died on it, and it may be done already.

        CONCURRENTLY takes a lock that keeps no reader or writer waiting (SHARE UPDATE EXCLUSIVE, manual 13.3) and then
        waits for transactions, not in a queue: it may wait as long as the budget lasts, and is not worth repeating.
        """
        while True:
            if not statement.concurrent:
                self._stay_out_of_the_queue()
            began = time.monotonic()
            self._set("lock_timeout", max(self.lock_timeout, self.budget if statement.concurrent else 0.0))
            try:
                self.link.execute(statement.text.encode())
                return
            except _LOCKED:
                self._drop_invalid(set())
                self._rest(time.monotonic() - began)
            except _ALREADY as error:
                if not in_doubt:
                    raise self._failed(error, statement, self._progress) from error
                return
            except psycopg.Error as error:
                raise self._failed(error, statement, self._progress) from error
            finally:
                self._set("lock_timeout", self.lock_timeout)

    @cached_property
    def _targets(self) -> list[int]:
        return catalog.targets(self.link, script.names(self.step.up))

    @property
    def _progress(self) -> str:
        if not self.done:
            return "nothing was changed"
        return f"the first {self.done} statements stay done; the next attempt goes on after them"

    def _stay_out_of_the_queue(self) -> None:
        while blockers := catalog.holders(self.link, self._targets, _LONG):
            self._spend(_POLL, blockers)
            time.sleep(_POLL)
        self.attempts += 1

    def _rest(self, stalled: float) -> None:
        """Keep away after a lock was not granted; jitter, so that two who meet do not meet again."""
        self.waited += stalled
        least = _REST * self.lock_timeout
        pause = max(least, min(_REST * stalled * random.uniform(1.0, 1.5), _LONGEST_REST))
        self._spend(stalled + pause, catalog.holders(self.link, self._targets, 0.0))
        time.sleep(pause)

    def _spend(self, seconds: float, blockers: list[str]) -> None:
        self.budget -= seconds
        if self.budget <= 0:
            who = "\n".join(blockers) or "the holder is gone by now, or is a prepared transaction"
            raise Rejected(
                f"{self.step.label}: no lock within the budget, {self.attempts} attempts; {self._progress}\n{who}",
                "end the blocking transaction, or migrate at a quieter time"
                " (GRANT pg_read_all_stats to the migrator to see the age of others' transactions)",
            )

    def _failed(self, error: psycopg.Error, statement: script.Statement, then: str) -> Rejected:
        if self.link.broken:
            raise error  # becomes Unavailable; a commit in doubt is settled by its row on the next attempt
        position = error.diag.statement_position
        line = statement.line + (statement.text.count("\n", 0, int(position) - 1) if position else 0)
        reason = error.diag.message_primary or type(error).__name__
        where = f", line {line}" if position or statement.line > 1 else ""
        if isinstance(error, errors.QueryCanceled):
            reason += f" (timeout={self.step.timeout:g}s)"
        return Rejected(f"{self.step.label}{where}: {reason}; {then}", error.diag.message_hint or "mend the migration")

    def _drop_invalid(self, keep: set[str]) -> None:
        for name in catalog.invalid_indexes(self.link, self._targets) - keep:
            self._set("lock_timeout", max(self.lock_timeout, self.budget))
            try:
                self.link.execute(sql.SQL("drop index concurrently if exists {}").format(sql.SQL(name)))
            except _LOCKED:
                continue  # it stays, unused; the next attempt drops it
            finally:
                self._set("lock_timeout", self.lock_timeout)

    def _record(self, state: str, began: float) -> None:
        row: dict[str, Any] = self.step.model_dump(include={"number", "name", "phase", "down"})
        row |= {"checksum": self.step.checksum, "release": self.release, "state": state, "before": self.before}
        row |= {"attempts": self.attempts, "lock_wait_ms": round(self.waited * 1000)}
        self.link.execute(_ROW, row | {"exec_ms": round((time.monotonic() - began) * 1000)})

    def _update(self, column: str, value: str | int) -> None:
        query = sql.SQL("update public.interlock_migrations set {} = %s where number = %s")
        self.link.execute(query.format(sql.Identifier(column)), (value, self.step.number))

    def _set(self, name: str, seconds: float) -> None:
        self.link.execute("select set_config(%s, %s, false)", (name, f"{max(1, round(seconds * 1000))}ms"))
