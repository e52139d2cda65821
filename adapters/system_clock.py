"""The machine's clock."""

import time


class SystemClock:
    """The Clock port on the machine's clock."""

    def now(self) -> float:
        """Tell the time in seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait; not at all when `seconds` is negative."""
        time.sleep(max(0.0, seconds))


class SteadyClock:
    """Wall-clock time that goes on steadily from its making, whatever is done to the machine's clock meanwhile."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Tell the time in seconds since the epoch."""
        return self._offset + time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
