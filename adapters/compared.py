"""The ticks of one source, with the router's beside it as a witness."""

from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self

from domain.canary.join import join
from domain.canary.tally import Tally
from domain.canary.tick import Tick
from domain.ports import Samples


class Compared:
    """Samples of a source; where its totals and the router's do not fit together, its ticks say so (`missing`)."""

    def __init__(
        self, source: AbstractContextManager[Samples], router: AbstractContextManager[Samples], lag: float
    ) -> None:
        self._listened = source, router
        self._tally = Tally(lag)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Listen to both. Raises what either raises."""
        with ExitStack() as opened:
            self._router = opened.enter_context(self._listened[1])  # first: it also keeps a second listener away
            self._source = opened.enter_context(self._listened[0])
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of both."""
        self._open.close()

    def tick(self) -> Tick:
        """Wait for both, and tell the source's."""
        own, router = self._source.tick(), self._router.tick()
        return join(own.second, (own, Tick(second=own.second, missing=self._tally.note(own, router))))
