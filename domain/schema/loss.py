"""What a way back would throw away, so that it can be counted before anybody agrees to it."""

from collections.abc import Sequence

from domain.schema.classify import classify
from domain.schema.grammar import Fault, parse
from domain.schema.migration import Migration
from domain.value import Value


class Loss(Value):
    """Rows, or the values of one column, that a script drops, deletes or overwrites."""

    relation: str
    column: str | None = None

    @property
    def says(self) -> str:
        """Name it: `orders.channel`."""
        return f"{self.relation}.{self.column}" if self.column else self.relation


def losses(scripts: Sequence[Migration]) -> tuple[Loss, ...] | None:
    """List what the statements of some scripts lose, by their text; None when a text does not tell."""
    found: dict[Loss, None] = {}
    for script in scripts:
        statements = parse(script.up)
        changes = () if isinstance(statements, Fault) else classify(statements)
        if isinstance(statements, Fault) or any(change.kind == "opaque" for change in changes):
            return None
        for change in changes:
            if change.lossy:
                found |= {Loss(relation=touch.relation, column=touch.column): None for touch in change.touches}
    return tuple(found)
