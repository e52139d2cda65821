"""One migration, taken back: its row goes in the transaction that undoes it, or the database is left as it was."""

from dataclasses import dataclass

from psycopg import errors

from adapters import postgres_catalog as catalog
from adapters import postgres_history as history
from adapters import postgres_script as script
from adapters.postgres_turn import Turn
from domain.errors import Conflict
from domain.schema.migration import Recorded

_GONE = (errors.UndefinedTable, errors.UndefinedObject, errors.UndefinedColumn, errors.UndefinedFunction)


@dataclass
class Reverter(Turn):
    """One attempt to take one migration back; `step` is its way back, as a script."""

    def run(self) -> None:
        """Take the step back; one that is not there is fine.

        Raises Conflict when later steps stand on it, when the schema is not the one that it left, or when the way back
        leads to another schema than the one before it: nothing was changed then. Raises Rejected when the script fails.
        """
        self.begin()
        rows = history.recorded(self.link)
        row = next((row for row in rows if row.number == self.step.number), None)
        if row is None:
            return
        self._insist_last(row, rows)
        self.set("statement_timeout", self.step.timeout)
        if not row.undone:
            self._insist_unchanged(row)
        if self.step.transactional:
            self.whole(lambda _: self._leave(row))
        else:
            self._piecewise(row)

    def _insist_last(self, row: Recorded, rows: tuple[Recorded, ...]) -> None:
        if later := [it.label for it in rows if it.number > row.number]:
            raise Conflict(f"{row.label}: {', '.join(later)} came after it", "take the last one back first")
        if row.state != "applied":
            raise Conflict(
                f"{row.label}: {row.release} got {row.statements} statements far, and left it {row.state}",
                "apply it to its end first, then take it back",
            )

    def _insist_unchanged(self, row: Recorded) -> None:
        with catalog.snapshot(self.link):
            seen = catalog.fingerprint(self.link)[: catalog.STRUCTURE]
        after = (row.fingerprint_after or "")[: catalog.STRUCTURE]
        if after and seen != after:
            raise Conflict(
                f"{row.label}: the schema is not the one that it left"
                f" ({seen[:12]}, expected {after[:12]}); nothing was changed",
                "somebody changed it by hand: bring it back first",
            )

    def _leave(self, row: Recorded) -> None:
        """Remove the row, unless the schema is not the one from before the step."""
        before = (row.fingerprint_before or "")[: catalog.STRUCTURE]
        seen = catalog.within(self.link)[: catalog.STRUCTURE]
        if before and seen != before:
            raise Conflict(
                f"{row.label}: its way back leads to another schema than the one before it"
                f" ({seen[:12]}, expected {before[:12]}); nothing was changed",
                "the schema stays as it is: older versions run on it, or a new migration mends it",
            )
        history.forget(self.link, row.number)

    def _piecewise(self, row: Recorded) -> None:
        """Run the script statement by statement, keeping count below zero, so that one that dies is followed up."""
        again, self.done = bool(row.undone), max(0, row.undone - 1)
        for number, statement in enumerate(script.statements(self.step.up)[self.done :], start=self.done + 1):
            with self.as_owner():
                history.change(self.link, row.number, "statements", -number)
            self.single(statement, _GONE if again else ())
            self.done, again = number, False
        with self.as_owner():
            history.forget(self.link, row.number)
