"""Sources that must be asked, as a stream of seconds, or beside one."""

from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Protocol, Self

from adapters.system_clock import SteadyClock
from domain.canary.join import join
from domain.canary.tick import Tick
from domain.errors import ReleaseError
from domain.ports import Clock, Samples


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


class Asking:
    """A product and how often it is asked (seconds); a failure is told until the product answers again."""

    def __init__(self, poll: Poll, every: float = 1.0) -> None:
        self.poll = poll
        self._every = every
        self._waited = 0
        self._failure = ""

    def begin(self, now: float) -> None:
        """Learn where to count from: what is new now has happened before. Raises what the product raises."""
        self.poll.news(now)

    def look(self, now: float) -> Tick:
        """Tell what is new if it is time to ask; to be called once a second, whatever the clock says of it."""
        self._waited += 1
        if self._waited < self._every:
            return Tick(second=0, missing=self._failure)
        self._waited = 0
        try:
            news = self.poll.news(now)
        except ReleaseError as error:
            self._failure = error.message
            return Tick(second=0, missing=self._failure)
        self._failure = ""
        return news


class Pace:
    """Samples of nothing: one empty tick a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next = int(clock.now())

    def __enter__(self) -> Self:
        """Begin with the current second."""
        self._next = int(self._clock.now())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing was held."""

    def tick(self) -> Tick:
        """Wait until the current second has closed."""
        second = self._next
        while (left := second + 1 - self._clock.now()) > 0:
            self._clock.sleep(left)
        self._next = second + 1
        return Tick(second=second)


class Polling:
    """The ticks of some samples, with all that products tell when they are asked; without samples, once a second.

    Nothing is raised once it is entered: traffic flows whether it is measured or not, so a product that fails says so
    in the tick (`missing`) until it answers again.
    """

    def __init__(
        self, *asking: Asking, samples: AbstractContextManager[Samples] | None = None, clock: Clock | None = None
    ) -> None:
        self._clock = clock or SteadyClock()
        self._asking = asking
        self._entered = samples or Pace(self._clock)
        self._samples: Samples = Pace(self._clock)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Ask everybody once, then begin. Raises what a product raises."""
        with ExitStack() as opened:
            for asking in self._asking:
                opened.callback(asking.poll.close)
                asking.begin(self._clock.now())
            self._samples = opened.enter_context(self._entered)
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of everything."""
        self._open.close()

    def tick(self) -> Tick:
        """Wait for the next tick of the samples, and add what is new."""
        tick = self._samples.tick()
        return join(tick.second, (tick, *(asking.look(self._clock.now()) for asking in self._asking)))
