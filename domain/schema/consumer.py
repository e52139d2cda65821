"""Who reads a service's tables from outside: reports, integrations, retention rules."""

from collections.abc import Iterator, Sequence

from pydantic import Field

from domain.schema.change import Change, Touch
from domain.value import Name, Value


class Consumer(Value):
    """Somebody who reads tables without being released with the service."""

    name: Name = Field(description="such as a report or an integration")
    owner: Name = Field(description="who must agree before what it reads changes")
    reads: dict[str, tuple[str, ...]] = Field(
        min_length=1, description="columns by relation; an empty list is the whole relation"
    )

    def hurt_by(self, touch: Touch) -> bool:
        """Tell whether a change of a relation or column reaches what is read."""
        if touch.relation.endswith(".*"):
            return any(read.startswith(touch.relation[:-1]) for read in self.reads)
        columns = next((columns for read, columns in self.reads.items() if _same(read, touch.relation)), None)
        return columns is not None and (not columns or touch.column is None or touch.column in columns)


def _same(read: str, relation: str) -> bool:
    return read.removeprefix("public.") == relation


def hurt(consumers: Sequence[Consumer], change: Change) -> Iterator[Consumer]:
    """List the consumers that a change reaches."""
    return (one for one in consumers if any(one.hurt_by(touch) for touch in change.touches))
