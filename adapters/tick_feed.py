"""Ticks that another program serves over HTTP, as domain/canary/wire.py describes them."""

from typing import Any

from adapters.http_json import JsonEndpoint
from domain.canary.bounds import Bounds
from domain.canary.join import join
from domain.canary.roster import Roster
from domain.canary.tick import Cell, Tick
from domain.canary.wire import Succession, tick_from
from domain.errors import Invalid
from domain.ports import Secrets


class TickFeed:
    """One URL whose answer is the newest tick, or a list with the newest ones, so that a late question loses none.

    Every tick needs `seq` or `t`: without them one that is read twice would count twice. `silence` is how many seconds
    may pass without a new one before that is said.
    """

    def __init__(
        self, url: str, secrets: Secrets, roster: Roster, token: str | None = None, silence: float = 4.0
    ) -> None:
        self._endpoint = JsonEndpoint(url, secrets, token)
        self._url = url
        self._roster = roster
        self._silence = silence
        self._bounds = Bounds()
        self._told = Succession()
        self._last: dict[str, Any] = {}
        self._heard = float("inf")

    def news(self, now: float) -> Tick:
        """Read what is served; ticks told before are left out. Raises Invalid with every problem, Unavailable."""
        answer = self._endpoint.ask()
        plains = answer if isinstance(answer, list) else [answer]
        ticks = [self._read(plain) for plain in plains]  # all are read before one is counted: a bad one counts nothing
        parts = []
        for plain, tick in sorted(zip(plains, ticks, strict=True), key=lambda pair: _order(pair[0])):
            note = self._told.admit(plain.get("seq"), plain.get("t"))
            if note is not None:
                parts.append(tick.model_copy(update={"missing": note and f"{self._url}: {note}"}))
                self._last = plain
            elif _order(plain) == _order(self._last) and plain != self._last:
                parts.append(
                    Tick(second=0, missing=f"{self._url}: a tick was changed after it was told; it counts once")
                )
        return join(0, (*parts, Tick(second=0, missing=self._silent(now, bool(parts)))))

    def close(self) -> None:
        """Hang up."""
        self._endpoint.close()

    def _silent(self, now: float, heard: bool) -> str:
        if heard or self._heard == float("inf"):
            self._heard = now
        silent = now - self._heard
        return f"{self._url}: nothing new for {silent:.0f} s" if silent > self._silence else ""

    def _read(self, plain: Any) -> Tick:
        try:
            tick = tick_from(plain, self._bounds)
        except Invalid as error:
            raise Invalid(f"{self._url}: {error.message}", error.hint) from None
        if plain.get("seq") is None and plain.get("t") is None:
            raise Invalid(
                f"{self._url}: a tick has neither seq nor t", "give it one: a tick that is read twice would count twice"
            )
        return tick.model_copy(update={"cells": tuple(map(self._named, tick.cells))})

    def _named(self, cell: Cell) -> Cell:
        """Call a replica as everybody else does, where the feed knows it by its address."""
        place = self._roster.place(cell.arm, cell.replica)
        return cell.model_copy(update={"replica": place[1]}) if place else cell


def _order(plain: dict[str, Any]) -> tuple[float, float]:
    return plain.get("t") or 0, plain.get("seq") or 0
