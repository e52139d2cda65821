"""Sources that must be asked, as a stream of seconds."""

from types import TracebackType
from typing import Protocol, Self

from adapters.system_clock import SteadyClock
from domain.canary.join import join
from domain.canary.tick import Tick
from domain.errors import ReleaseError
from domain.ports import Clock


class Poll(Protocol):
    """A product that tells what is new since it was last asked."""

    def news(self, now: float) -> Tick:
        """Ask; `now` is in seconds since the epoch, and what the tick says of its second does not matter.

        Raises Unavailable or Invalid; what was new stays new then, as far as the product remembers it.
        """
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Polling:
    """Samples by asking every `every` seconds, as long as it is entered; seconds in between are empty ticks.

    What is new at the moment of entering happened before it, and is left out. From then on nothing is raised: traffic
    flows whether it is measured or not, so a source that fails says so in the tick (`missing`), at every second until
    it answers again.
    """

    def __init__(self, poll: Poll, every: float = 1.0, clock: Clock | None = None) -> None:
        self._poll = poll
        self._every = every
        self._clock = clock or SteadyClock()
        self._next = 0
        self._due = 0.0
        self._failure = ""

    def __enter__(self) -> Self:
        """Ask once, to learn where to count from. Raises what the product raises."""
        self._poll.news(self._clock.now())
        self._next = int(self._clock.now())
        self._due = self._next + self._every
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the product."""
        self._poll.close()

    def tick(self) -> Tick:
        """Wait until the current second has closed, and tell what is new if it is time to ask."""
        second = self._next
        while (left := second + 1 - self._clock.now()) > 0:
            self._clock.sleep(left)
        self._next = second + 1
        news: tuple[Tick, ...] = ()
        if self._next >= self._due:
            self._due = self._next + self._every
            news = self._ask()
        return join(second, (*news, Tick(second=second, missing=self._failure)))

    def _ask(self) -> tuple[Tick, ...]:
        try:
            news = self._poll.news(self._clock.now())
        except ReleaseError as error:
            self._failure = error.message
            return ()
        self._failure = ""
        return (news,)
