"""Traffic through HAProxy: two slots per route, split by one number in a map.

Whatever changes traffic is written to disk first, so that a router that restarts goes on where it was: the wish
(`routes/<name>.json`), and configuration and maps rendered from all wishes. Traffic is then moved over the runtime
socket, without a reload; only a new listener (a new route, another port or health path) needs one.

A replica joins at weight 0: health-checked, without traffic, in no file, until its check passes. So a failed apply
has nothing to take back but those.
"""

import errno
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path

from adapters import haproxy_config
from adapters.haproxy_config import SERVER_OPTIONS, SLOTS, WEIGHT
from adapters.haproxy_folder import Folder
from adapters.haproxy_log import LogStream
from adapters.haproxy_runtime import Place, Running, Runtime
from domain.environment.orphans import Belonging
from domain.errors import Conflict, Invalid, Rejected, ReleaseError, Unavailable
from domain.ports import Samples
from domain.release.route import Route

_POLL = 0.05  # seconds between two looks at the router
_PATIENCE = 20.0  # seconds for a new worker to answer, and for a drained server to let go


class HAProxy:
    """A Router on one HAProxy (2.6 or later, master-worker mode) that runs on `folder/haproxy.cfg`.

    `bind` is the address users connect to; `drain` and `ready` are seconds: for the last requests of a leaving replica,
    and for a joining replica to pass its health check. Several processes may use one folder at a time.
    """

    def __init__(self, folder: Path, bind: str = "127.0.0.1", drain: float = 10.0, ready: float = 30.0) -> None:
        self._folder = Folder(folder, bind)
        self._runtime = Runtime(self._folder.run)
        self._bind = bind
        self._drain = drain
        self._ready = ready

    def apply(self, route: Route, token: int) -> None:  # noqa: ARG002  # kept in the folder next
        """Make the router do this: newcomers join, then the share moves, then leavers drain and go.

        Raises Invalid when HAProxy could not express the route, Rejected when a newcomer stays unhealthy, Conflict when
        the port is taken; router and files are then as before. Raises Conflict too when the router reports another
        share than it was told.
        """
        haproxy_config.check(route)
        with self._folder.alone(f"route-{route.name}", patience=self._ready + self._drain + 60):
            close = self._open(route)
            try:
                self._join(route)
            except ReleaseError:
                close()
                raise
            self._part(route)

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
        """Listen to a route's log; Raises Unavailable when somebody else listens."""
        if candidate not in SLOTS:
            raise Invalid(f"{candidate!r} is not a slot of {route.name}", "say blue or green")
        return LogStream(route, candidate)

    def belongings(self) -> tuple[Belonging, ...]:
        """List every route that was ever applied and not forgotten."""
        return tuple(Belonging(kind="route", id=name, name=name) for name in self._folder.names())

    def discard(self, belonging: Belonging, token: int) -> bool:
        """Close a route for good; False when it is a newer owner's."""
        with suppress(Conflict):
            self.forget(belonging.id, token)
            return True
        return False

    def forget(self, name: str, token: int) -> None:  # noqa: ARG002  # kept in the folder next
        """Close a route for good; nothing happens when there is none."""
        with self._folder.alone(f"route-{name}"):
            if self._folder.wish(name) or self._runtime.running(name):
                self._listen(name, None)

    def _open(self, route: Route) -> Callable[[], None]:
        """Have the router listen for a route, by a reload if it must; return what takes that back."""
        if self._listens(route.name, route):
            return lambda: None
        running = self._runtime.running(route.name)
        if not running or running.port != route.port:
            self._check_free(route)
        before = self._folder.wish(route.name)
        bare = before or Route(name=route.name, port=route.port)
        self._listen(route.name, bare.model_copy(update={"port": route.port, "health": route.health}))
        return lambda: self._listen(route.name, before)

    def _listen(self, name: str, wish: Route | None) -> None:
        """Render a route and reload; wait until a worker that knows it answers. The old one ends its own requests."""
        with self._folder.alone("render"):
            before = self._folder.wish(name)
            self._folder.record(name, wish)
            try:
                self._runtime.reload()
                self._wait(partial(self._listens, name, wish), f"reload for {name}")
            except ReleaseError:
                self._folder.record(name, before)
                raise

    def _check_free(self, route: Route) -> None:
        """Look before a reload: a worker that cannot bind would make the old one pause."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._bind, route.port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise Conflict(
                        f"route {route.name}: {self._bind}:{route.port} is taken", "choose another"
                    ) from error

    def _join(self, route: Route) -> None:
        """Admit newcomers; once all of them passed their check, shift.

        The lock is given back between looks, so that other routes can move meanwhile. Should one of them reload, the
        newcomers are gone from the new worker, and the next look admits them again.
        """
        give_up = time.monotonic() + self._ready
        while True:
            with self._folder.alone("render"):
                waiting = self._admit(route)
                if not waiting:
                    return self._shift(route)
            if time.monotonic() > give_up:
                break
            time.sleep(_POLL)
        running = self._look(route.name)
        last = [f"{endpoint.name} ({slot}): {running.servers[slot, endpoint].check}" for slot, endpoint in waiting]
        self._remove(route.name, [place for place in _places(route) if not running.member(place)])
        raise Rejected(
            f"route {route.name}: not healthy at {route.health} after {self._ready:.0f} s: {'; '.join(last)}",
            "read the replica's log; the router is as before",
        )

    def _admit(self, route: Route) -> list[Place]:
        """Add what is missing, enable at weight 0 what rests; return the places that have not passed their check."""
        running = self._look(route.name)
        for place in _places(route):
            name, (_, endpoint) = _name(route.name, place), place
            if place not in running.servers:
                server = f"{name} {endpoint.address}:{endpoint.port} {SERVER_OPTIONS}"
                self._runtime.order(f"add server {server}", "New server registered.")
            if running.rests(place):
                self._runtime.order(f"set server {name} weight 0; enable health {name}; enable server {name}")
        return [place for place in _places(route) if not (running.member(place) or running.passed(place))]

    def _shift(self, route: Route) -> None:
        """Write it down, then move the traffic, then ask whether it moved."""
        self._folder.record(route.name, route)
        for place in _places(route):
            self._runtime.order(f"set server {_name(route.name, place)} weight {WEIGHT}")
        segments = self._folder.segments(route.name)
        if self._runtime.entries(segments) != route.segments:
            self._runtime.replace(segments, route.segments)
        self._runtime.order_all(f"set map {self._folder.split} {route.name} {route.green_share}")
        told = self._runtime.entries(self._folder.split).get(route.name)
        if told != str(route.green_share):
            raise Conflict(
                f"route {route.name}: told HAProxy to give green {route.green_share} basis points, it reports {told}",
                "somebody else moves this route; apply again",
            )

    def _part(self, route: Route) -> None:
        """Drain whoever is not in the route any more, then remove them."""
        leaving = [place for place in self._look(route.name).servers if place not in _places(route)]
        for place in leaving:
            self._runtime.order_all(f"set server {_name(route.name, place)} weight 0")
        give_up = time.monotonic() + self._drain
        while leaving and self._busy(route.name, leaving) and time.monotonic() < give_up:
            time.sleep(_POLL)
        self._remove(route.name, leaving)

    def _busy(self, route: str, places: Iterable[Place]) -> bool:
        return any(worker.busy(place) for worker in self._runtime.everywhere(route) for place in places)

    def _remove(self, route: str, places: Iterable[Place]) -> None:
        """Switch servers off and delete them; those already gone are fine."""
        for name in [_name(route, place) for place in places]:
            self._runtime.ask(f"set server {name} state maint")
            self._runtime.ask(f"shutdown sessions server {name}")
            self._wait(partial(self._deleted, name), f"removing {name}")

    def _deleted(self, name: str) -> bool:
        return self._runtime.ask(f"del server {name}").startswith(("Server deleted", "No such server"))

    def _listens(self, name: str, wish: Route | None) -> bool:
        """Tell whether the worker that answers knows a wish's listener, or, without a wish, knows no such route."""
        try:
            running = self._runtime.running(name)
        except Unavailable:
            return False  # between two workers
        if running is None or wish is None:
            return running is None and wish is None
        return (running.port, running.health) == (wish.port, wish.health)

    def _look(self, route: str) -> Running:
        running = self._runtime.running(route)
        if running is None:
            raise Unavailable(f"route {route}: HAProxy does not know it any more", "apply it again")
        return running

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + _PATIENCE
        while not done():
            if time.monotonic() > give_up:
                raise Unavailable(f"{what}: not done after {_PATIENCE:.0f} s", "HAProxy's log says why")
            time.sleep(_POLL)


def _places(route: Route) -> list[Place]:
    return [(slot, endpoint) for slot in SLOTS for endpoint in route.endpoints(slot)]


def _name(route: str, place: Place) -> str:
    slot, endpoint = place
    return f"{haproxy_config.backend(route, slot)}/{haproxy_config.server(endpoint)}"
