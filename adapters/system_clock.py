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
