"""Traffic through HAProxy: two slots per route, split by one number in a map.

Whatever changes traffic is written to disk first, so that a router that restarts goes on where it was: the wish
(`routes/<name>@<token>.json`), and configuration and maps rendered from all wishes. Traffic is then moved over the
runtime socket, without a reload; only a new listener (a new route, another port or health path) needs one.

A replica joins at weight 0: health-checked, without traffic, in no file, until its check passes. So a failed apply
has nothing to take back but those.

How an owner who lost his lease in the middle of this is kept from harm is told in haproxy_turn.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from adapters import haproxy_config
from adapters.haproxy_config import SLOTS
from adapters.haproxy_folder import Folder
from adapters.haproxy_log import LogStream
from adapters.haproxy_runtime import Runtime
from adapters.haproxy_turn import Turn
from domain.environment.orphans import Belonging
from domain.errors import Conflict, Invalid, ReleaseError
from domain.ports import Samples
from domain.release.route import Route, Slot

Measured = Callable[[Route, Slot, AbstractContextManager[Samples]], AbstractContextManager[Samples]]


class HAProxy:
    """A Router on one HAProxy (2.6 or later, master-worker mode) that runs on `folder/haproxy.cfg`.

    `bind` is the address users connect to; `drain` and `ready` are seconds: for the last requests of a leaving replica,
    and for a joining replica to pass its health check. Several processes may use one folder at a time. `measured` puts
    other sources of samples in the place of the log, or beside it.
    """

    def __init__(
        self,
        folder: Path,
        bind: str = "127.0.0.1",
        drain: float = 10.0,
        ready: float = 30.0,
        measured: Measured | None = None,
    ) -> None:
        self._folder = Folder(folder, bind)
        self._runtime = Runtime(self._folder.run)
        self._drain = drain
        self._ready = ready
        self._measured = measured

    def apply(self, route: Route, token: int) -> None:
        """Make the router do this: newcomers join, then the share moves, then leavers drain and go.

        Raises Invalid when HAProxy could not express the route, Rejected when a newcomer stays unhealthy, Conflict when
        the port is taken; router and files are then as before. Raises Conflict too when the router reports another
        share than it was told, and when a newer owner has moved the route: it is then as the newer one wants it.
        """
        haproxy_config.check(route)
        turn = Turn(self._folder, route.name, token)
        with turn.taken(patience=self._ready + self._drain + 60):
            close = turn.open(route)
            try:
                turn.join(route, self._ready)
            except ReleaseError:
                close()
                raise
            turn.part(route, self._drain)

    def claim(self, name: str, token: int) -> None:
        """Refuse older owners from now on; returns when none of their commands is heard any more."""
        with Turn(self._folder, name, token).taken():
            return

    def observe(self, name: str) -> Route | None:
        """Report what the running worker does; endpoints in order of name, those joining or leaving left out."""
        running = self._runtime.running(name)
        if running is None:
            return None
        return Route.model_validate(
            {
                "name": name,
                "port": running.port,
                "health": running.health,
                "blue": running.members("blue"),
                "green": running.members("green"),
                "green_share": int(self._runtime.entries(self._folder.split).get(name, "0")),
                "segments": self._runtime.entries(self._folder.segments(name)),
            }
        )

    def samples(self, route: Route, candidate: str) -> AbstractContextManager[Samples]:
        """Listen to a route's log, and to what else is declared. Raises Unavailable when somebody else listens."""
        if candidate not in SLOTS:
            raise Invalid(f"{candidate!r} is not a slot of {route.name}", "say blue or green")
        log = LogStream(route, candidate)
        return self._measured(route, candidate, log) if self._measured else log

    def belongings(self) -> tuple[Belonging, ...]:
        """List every route that was ever applied and not forgotten."""
        return tuple(Belonging(kind="route", id=name, name=name) for name in self._folder.names())

    def discard(self, belonging: Belonging, token: int) -> bool:
        """Close a route for good; False when it is a newer owner's."""
        with suppress(Conflict):
            self.forget(belonging.id, token)
            return True
        return False

    def forget(self, name: str, token: int) -> None:
        """Close a route for good; nothing happens when there is none. Raises Conflict when a newer owner moved it."""
        turn = Turn(self._folder, name, token)
        with turn.taken():
            turn.close()
