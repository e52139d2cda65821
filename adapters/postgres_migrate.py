"""One migration, applied without ever making users queue; one that was cut off is taken up again where it stopped."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from psycopg import errors

from adapters import postgres_capture as capture
from adapters import postgres_catalog as catalog
from adapters import postgres_history as history
from adapters import postgres_script as script
from adapters.postgres_batches import rows
from adapters.postgres_turn import Turn
from domain.errors import Conflict, Rejected
from domain.schema.batched import run_out
from domain.schema.migration import Applied

_GO_ALONG = ("AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock")  # with row changes
_ALREADY = (errors.DuplicateTable, errors.DuplicateObject, errors.DuplicateColumn)


@dataclass
class Migrator(Turn):
    """One attempt to bring one migration into one database."""

    before: str = ""

    def run(self) -> Applied:
        """Apply the step, or find it applied. Raises Rejected, Conflict or Invalid as the port says."""
        self.begin()
        state = self._standing()
        if state == "applied":
            return self._result
        self.set("statement_timeout", self.step.timeout)
        with catalog.snapshot(self.link):
            self.before = catalog.fingerprint(self.link)
        if self.step.batch is not None:
            self._batchwise(self.step.batch)
        elif self.step.transactional:
            self.whole(self._finish)
        else:
            self._piecewise(state)
        with catalog.snapshot(self.link):
            after = catalog.fingerprint(self.link)
        history.change(self.link, self.step.number, "fingerprint_after", after)
        return self._result

    @property
    def _result(self) -> Applied:
        return next(row for row in history.applied(self.link) if row.number == self.step.number)

    def _standing(self) -> str:
        """Read the step's row: its state, empty when there is none. Raises Conflict when it holds another script."""
        found = self.link.execute(
            "select state, checksum, statements, release, phase from public.interlock_migrations where number = %s",
            (self.step.number,),
        ).fetchone()
        if found is None:
            return ""
        state, checksum, self.done, release, phase = found
        if checksum != self.step.checksum and state != "applied" and phase == "migrate" and self.step.batch:
            self.done = 0  # rows that another script has filled are passed over; nobody saw a difference
        elif checksum != self.step.checksum and (state == "applied" or self.done):
            raise Conflict(
                f"{self.step.label}: {release} {state} another script under this number",
                "bring back the script that was applied, and add a new migration instead",
            )
        return str(state)

    def _piecewise(self, state: str) -> None:
        """Run the script statement by statement, keeping count, so that a migrator that dies can be followed up."""
        known = set() if state else catalog.invalid_indexes(self.link, self.targets)
        statements = script.statements(self.step.up)
        if state:
            self.drop_invalid(known)
        began = time.monotonic()
        with self.as_owner():
            self._record("running", began)
        try:
            for number, statement in enumerate(statements[self.done :], start=self.done + 1):
                self.insist()
                self.single(statement, _ALREADY if state == "running" and number == self.done + 1 else ())
                self.done = number
                history.change(self.link, self.step.number, "statements", number)
        except Rejected:
            self.drop_invalid(known)
            if self.done or catalog.invalid_indexes(self.link, self.targets) - known:
                history.change(self.link, self.step.number, "state", "failed")
            else:
                history.forget(self.link, self.step.number)
            raise
        with self.as_owner():
            self._record("applied", began)

    def _batchwise(self, size: int) -> None:
        """Run the statement batch by batch, and keep count: whoever follows goes on with what is not done yet.

        After a failure the row goes, and not the rows that were filled: they are as good as if a user had filled them,
        and the script may be mended.
        """
        self.beside, budget, began = _GO_ALONG, self.budget, time.monotonic()
        with self.as_owner():
            self._record("running", began)
        try:
            count = partial(rows, self.link, self.targets)
            for _ in run_out(self.step.label, self.step.sql, size, self._batch, count):
                self.budget = budget  # it is the patience for one transaction
                time.sleep(self.step.pause)
        except Rejected:
            with self.as_owner():
                history.forget(self.link, self.step.number)
            raise
        with self.as_owner():
            self._finish(began)

    def _batch(self, text: str) -> int:
        self.whole(self._count, text)
        self.done += self.changed > 0
        return self.changed

    def _count(self, _began: float) -> None:
        if self.changed:
            history.change(self.link, self.step.number, "statements", self.done + 1)

    def _finish(self, began: float) -> None:
        capture.insist_keys(self.link, self.step.label)
        self._record("applied", began)

    def _record(self, state: str, began: float) -> None:
        row: dict[str, Any] = self.step.model_dump(include={"number", "name", "phase", "down"})
        row |= {"checksum": self.step.checksum, "release": self.release, "state": state, "before": self.before}
        row |= {"attempts": self.attempts, "lock_wait_ms": round(self.waited * 1000)}
        history.write(self.link, row | {"exec_ms": round((time.monotonic() - began) * 1000)})
