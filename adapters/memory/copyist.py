"""A copy in memory, which is nothing but its stamp."""

from domain.data.stamp import Stamp
from domain.errors import Invalid, ReleaseError


class MemoryCopyist:
    """Counts how often it was taken; while `fails` is set, that is raised and the last stamp stays."""

    def __init__(self) -> None:
        self.taken = 0
        self.fails: ReleaseError | None = None

    def refresh(self) -> Stamp:
        """Take it again."""
        if self.fails:
            raise self.fails
        self.taken += 1
        return self.stamp()

    def stamp(self) -> Stamp:
        """Tell about the last one; raises Invalid when there is none."""
        if not self.taken:
            raise Invalid("there is no copy", "refresh it")
        at = f"2026-01-0{self.taken}T00:00:00Z"
        return Stamp(taken_at=at, source="memory", server="0", policy="none", tables={"public.orders": 3}, searched=1)
