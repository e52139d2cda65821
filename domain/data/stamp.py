"""What a copy says about itself, and what a search of it found."""

from domain.value import Value


class Stamp(Value):
    """When a copy was taken, of what, and by which policy."""

    taken_at: str
    """The moment that its rows show, on the source's clock, in UTC."""
    source: str
    """host:port/database."""
    server: str
    policy: str
    """The policy's hash."""
    tables: dict[str, int]
    """Rows by table."""
    searched: int
    """How many private values it was searched for."""


class Finding(Value):
    """A private value of the source that stands in the copy; the value itself is never told."""

    column: str
    """Where it stands: schema.table.column."""
    origin: str
    """Where it was private."""
    times: int

    @property
    def says(self) -> str:
        """Say it in one line."""
        return f"{self.column} holds values of {self.origin}, {self.times} times"
