"""Walk the way there and back on a copy, before anybody walks it where it counts."""

import time
from collections.abc import Sequence
from contextlib import suppress

from domain.errors import Rejected
from domain.ports import Clone
from domain.schema.invariant import Breach
from domain.schema.migration import Migration
from domain.schema.rehearsal import Cost, Failure, Moment, Rehearsal, Seen, WayBack


class Halted(Exception):
    """A script failed: whatever would follow shows nothing."""


def rehearse(clone: Clone, way: WayBack, *, applied: bool = False) -> Rehearsal:
    """Go up, let both versions speak, go down; then there and back again with what each version writes meanwhile.

    `applied`: the steps are there already, and are taken back first. What goes wrong is part of the record, and nothing
    is raised for it.
    """
    stage = _Stage(clone, way)
    began = time.monotonic()
    with suppress(Halted):
        if applied:
            stage.take_back()
        stage.there_and_back()
        stage.back_with_what_the_old_version_wrote()
        stage.back_with_what_was_written()
    return Rehearsal(
        server=clone.server,
        seen=stage.seen,
        failures=tuple(stage.failures),
        breaches=stage.breaches,
        costs=stage.costs,
        seconds=round(time.monotonic() - began, 3),
    )


class _Stage:
    """One copy, and what was seen on it so far."""

    def __init__(self, clone: Clone, way: WayBack) -> None:
        self.seen: dict[Moment, Seen] = {}
        self.failures: list[Failure] = []
        self.breaches: dict[Moment, tuple[Breach, ...]] = {}
        self.costs: dict[str, Cost] = {}
        self._clone = clone
        self._way = way
        self._unbroken = dict(way.invariants)

    def take_back(self) -> None:
        """Begin where the steps are applied, as in a drill."""
        self._broken()  # what is broken there already is not the doing of this walk
        self._run("down", self._way.ways_back)
        self._ask("down")

    def there_and_back(self) -> None:
        """Nobody writes meanwhile: what was there before must be there again, to the bit."""
        self._look("old version before")
        self._ask("old version before")
        self._speak("old version before", self._way.old)
        self._rewind("old version before")
        self.costs = self._run("up", self._way.steps)
        self._look("up")
        self._ask("up")
        self._speak("old version", self._way.old)
        self._speak("new version", self._way.new)
        self._run("down", self._way.ways_back)
        self._look("down")
        if self._way.whole:
            self._ask("down")
        self._speak("old version after", self._way.old if self._way.whole else None)

    def back_with_what_the_old_version_wrote(self) -> None:
        """The old version writes the same rows twice, without the new schema and on it, and the same must be left.

        Each time is undone afterwards, which scripts that want no transaction cannot be: then there is nothing to hold
        against each other, and what it writes is tried in `back_with_what_was_written`.
        """
        if self._way.old is None or not (self._way.whole and self._way.transactional):
            return
        self._write_alone("old writes alone", self._way.old)
        self._rewind("old version before")
        with self._clone.undone():
            self._run("old writes taken back", self._way.steps)
            self._rewind("up")
            self._clone.speak(self._way.old, keep=True)
            self._run("old writes taken back", self._way.ways_back)
            self._look("old writes taken back")
        if self.seen["old writes taken back"].tables != self.seen["old writes alone"].tables:
            self._write_alone("old writes alone again", self._way.old)

    def _write_alone(self, moment: Moment, statements: str) -> None:
        self._rewind("up")
        with self._clone.undone():
            self._clone.speak(statements, keep=True)
            self._look(moment)

    def back_with_what_was_written(self) -> None:
        """The new version writes, and where it could not be tried alone the old one; it must outlive the way back.

        Each statement was seen to work alone. One that fails now meets a row that the other version has just written.
        """
        self._run("up again", self._way.redone)
        self._look("up again")
        for statements in (self._way.new, None if "old writes alone" in self.seen else self._way.old):
            if statements:
                self._clone.speak(statements, keep=True)
        self._look("writes", rows_only=True)
        self._run("down after writes", self._way.ways_back)
        self._look("down after writes", rows_only=True)
        self._run("up after writes", self._way.redone)
        self._look("up after writes", rows_only=True)

    def _run(self, moment: Moment, steps: Sequence[Migration]) -> dict[str, Cost]:
        costs = {}
        for step in steps:
            try:
                costs[step.label] = self._clone.run(
                    step.sql, transactional=step.transactional, timeout=step.timeout, batch=step.batch
                )
            except Rejected as error:
                self.failures.append(Failure(moment=moment, what=step.label, says=error.message))
                raise Halted from error
        return costs

    def _speak(self, moment: Moment, statements: str | None) -> None:
        """Run a version's statements and undo them; what failed before is told once."""
        known = {failure.what for failure in self.failures}
        for what, says in self._clone.speak(statements, keep=False) if statements else ():
            if what not in known:
                self.failures.append(Failure(moment=moment, what=what, says=says))

    def _ask(self, moment: Moment) -> None:
        """Ask the invariants that were not broken so far; only the new schema must have all that they ask about."""
        found = [breach for breach in self._broken() if breach.error is None or moment == "up"]
        if found:
            self.breaches[moment] = (*self.breaches.get(moment, ()), *found)

    def _broken(self) -> tuple[Breach, ...]:
        found = self._clone.breaches(self._unbroken, self._way.invariant_timeout)
        for breach in found:
            if breach.error is None:
                del self._unbroken[breach.name]
        return found

    def _look(self, moment: Moment, *, rows_only: bool = False) -> None:
        self.seen[moment] = self._clone.look(rows_only=rows_only)

    def _rewind(self, moment: Moment) -> None:
        """Let the same numbers be given out again as after that moment, so that the same rows can be written."""
        self._clone.rewind(self.seen[moment].sequences)
