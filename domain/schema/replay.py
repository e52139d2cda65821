"""A restored backup on its way to what the living database holds."""

from typing import Literal

from pydantic import Field

from domain.value import Value


class Progress(Value):
    """What a restored database says of itself: how far it is, and what brings its constraints and triggers back."""

    state: Literal["restoring", "replaying", "complete"]
    source: str = Field(description="host:port/database of the living one")
    backup: str = Field(description="snapshot of the backup that it was made from")
    snapshot: str = Field(description="it holds what every transaction had written that this snapshot shows")
    loosened: tuple[str, ...] = Field(default=(), description="statements that let rows come in any order")
    mended: tuple[str, ...] = Field(default=(), description="statements that undo those")
    validated: tuple[str, ...] = Field(default=(), description="statements that read every row once more")


class Pass(Value):
    """One pass over what was written since the pass before it."""

    keys: int
    rows: int = Field(description="brought over; the other keys are gone from the living database")
    seconds: float
    snapshot: str


class Replayed(Value):
    """A restored database that holds what the living one held when its writes were stopped."""

    database: str
    passes: tuple[Pass, ...] = Field(description="the last one under the freeze")
    lost: int = Field(description="rows written since the backup that it lacks")
    freeze_ms: int = Field(description="from the lock on the first table until the caller had switched")
    compared: tuple[str, ...] = Field(description="tables whose rows are the same in both, by digest")
    kept: tuple[str, ...] = Field(description="tables that only the backup has; nobody had written to them since")
    left_behind: tuple[str, ...] = Field(description="tables and columns that only the living database has")
    frozen: bool = Field(description="the living database refuses every write from now on")

    @property
    def keys(self) -> int:
        """Count the keys that were replayed, those twice that were written again between two passes."""
        return sum(one.keys for one in self.passes)


class Bare(Value):
    """A restored database that lacks what was written since its backup."""

    database: str
    lost: int | None = Field(description="rows; None: nobody knows")
    freeze_ms: int
    frozen: bool
