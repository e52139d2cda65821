"""What was seen when a way back was walked on a copy of the database: the record, and nothing judged yet."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from domain.schema.backup import TableDigest
from domain.schema.change import Lock
from domain.schema.invariant import Breach
from domain.schema.migration import Migration
from domain.value import Value

Moment = Literal[
    "old version before",
    "up",
    "old version",
    "new version",
    "down",
    "old version after",
    "old writes alone",
    "old writes taken back",
    "old writes alone again",
    "up again",
    "writes",
    "down after writes",
    "up after writes",
]
"""The parts of a rehearsal, in order; `old version` and `new version` are the statements in their smoke.sql.

`old writes alone`: what the old version writes when no migration comes between; `old writes taken back`: what is left
of it when it writes on the new schema, and the way back is walked. Where the two differ it writes alone once more: what
differs then, too, depends on the clock or on chance.
"""


class WayBack(Value):
    """What is tried: the steps of one release, and the statements of the version before it and of its own."""

    steps: tuple[Migration, ...]
    old: str | None = Field(default=None, description="smoke.sql of the version that serves; None: nothing serves")
    new: str | None = Field(default=None, description="smoke.sql of the version to come; None: it has none")
    invariants: Mapping[str, str] = Field(default={}, description="queries of the rows that break them, by name")
    invariant_timeout: float = Field(default=60.0, description="seconds for each")

    @property
    def undone(self) -> tuple[Migration, ...]:
        """List the steps to undo, the last one first: down to the first that has no down script."""
        found = []
        for step in reversed(self.steps):
            if step.down is None:
                break
            found.append(step)
        return tuple(found)

    @property
    def redone(self) -> tuple[Migration, ...]:
        """List what is applied again after that, in order."""
        return tuple(reversed(self.undone))

    @property
    def ways_back(self) -> tuple[Migration, ...]:
        """List what undoes them, as scripts to run, in order."""
        return tuple(back for step in self.undone if (back := step.undoing))

    @property
    def transactional(self) -> bool:
        """Tell whether all of it, there and back, can be tried in one transaction and undone."""
        return all(step.transactional for step in (*self.steps, *self.ways_back))

    @property
    def whole(self) -> bool:
        """Tell whether all steps are undone, so that what was there before must be there again."""
        return len(self.undone) == len(self.steps)


class Seen(Value):
    """What a copy looks like at one moment; tables and sequences are named schema.name.

    `columns` has each column of the tables whose rows a script has written: so two schemas can be compared in what they
    have in common. What was not written cannot have changed.
    """

    fingerprint: str
    tables: dict[str, TableDigest]
    columns: dict[str, dict[str, TableDigest]] = {}
    sequences: dict[str, int] = Field(default={}, description="how far each has come; 0: not begun")
    unvalidated: tuple[str, ...] = Field(default=(), description="constraints that old rows may break")


class Failure(Value):
    """Something that did not work; `what` is the migration, or the statement's first line."""

    moment: Moment
    what: str
    says: str


class Cost(Value):
    """What going up does to a database of this size, measured on the copy without anybody else on it."""

    seconds: float
    locks: tuple[Lock, ...] = Field(default=(), description="the strongest on each relation that was there before")
    rewritten: tuple[str, ...] = Field(default=(), description="tables of which every row was written anew")
    wal_bytes: int = 0
    batches: int = Field(default=0, description="that have changed rows; 0 where it does not go batch by batch")


class Rehearsal(Value):
    """Everything that was seen; a moment that was not reached is not in `seen`."""

    server: str
    seen: Mapping[Moment, Seen]
    failures: tuple[Failure, ...] = ()
    breaches: Mapping[Moment, tuple[Breach, ...]] = Field(default={}, description="each invariant when first broken")
    costs: Mapping[str, Cost] = Field(default={}, description="of each step on its way up, by its label")
    announced: str = Field(default="", description="what the service's own tool said that it would do")
    seconds: float = 0.0
