"""What one way is: a migration, its way back, and whether a prover must let it pass."""

from dataclasses import dataclass
from typing import Literal

Caught = Literal["", "up fails", "old smoke", "down fails", "schema", "data", "writes", "up again"]


@dataclass(frozen=True)
class Way:
    """A migration of START and its way back, as scripts; a good one must pass, a bad one must be caught.

    `caught_by` is the plainest sign of a bad one, and not always the only one:

    - up fails: the way there does not go, on the rows that are there
    - old smoke: a statement of the old version fails, on the new schema or after the way back
    - down fails: the way back does not go, at once or after both versions have written
    - schema: the fingerprint after the way back is another one
    - data: a row is not what it was after the way back, though nobody wrote
    - writes: what a version wrote in between is lost, changed or overwritten after the way back
    - up again: the second way there fails, or leaves another schema than the first
    """

    name: str
    up: str
    down: str
    good: bool
    because: str
    new_smoke: str = ""
    caught_by: Caught = ""
