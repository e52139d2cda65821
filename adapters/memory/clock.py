"""A clock that nobody has to wait for."""


class MemoryClock:
    """The Clock port on virtual time: it stands still until somebody sleeps, and then jumps."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now

    def now(self) -> float:
        """Tell the virtual time in seconds since the epoch."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move the time on; not at all when `seconds` is negative."""
        self._now += max(0.0, seconds)
