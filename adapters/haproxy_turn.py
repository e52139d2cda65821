"""One owner's turn at one route, and what keeps an owner who was overtaken from harm.

A process can be stopped anywhere in here (SIGSTOP, a paused container), for longer than its lease lives. When it wakes
up, a newer owner, whose token is higher, is at work or has been.

- A turn begins by claiming the route; a lower token than the last is refused. It waits for no lock of an older owner
  (haproxy_lock), and what an older owner writes into the folder does not count (haproxy_folder).
- Every command has a line of its own. Between connecting and speaking, its sender looks whether the route is still its
  own: one command at most comes late. When it comes later than SILENCE, HAProxy has hung up.
- A newer owner sends nothing until the older one has left its turn or SILENCE has passed. So after the first command of
  a newer owner no worker hears an older one; whatever state that one left is finished as after a crash.
- The master never hangs up. A late reload loads what is recorded; it may sweep away a replica that is joining, which is
  admitted again, or, a moment later, fail the newer owner's turn, which can be repeated. A late command to a worker
  that a reload left behind can misdirect the last request on each of its idle connections.

At the end an owner looks once more. Whoever was overtaken raises Conflict and repairs nothing: the route is not theirs.
"""

import errno
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from adapters import haproxy_config
from adapters.haproxy_config import SERVER_OPTIONS, SLOTS, WEIGHT
from adapters.haproxy_folder import Folder
from adapters.haproxy_runtime import Place, Running, Runtime
from domain.errors import Conflict, Rejected, ReleaseError, Unavailable
from domain.release.route import Route

_POLL = 0.05  # seconds between two looks at the router
_PATIENCE = 20.0  # seconds for a new worker to answer, and for a drained server to let go


class Turn:
    """What one owner orders at one route, for as long as no newer owner has claimed it."""

    def __init__(self, folder: Folder, name: str, token: int) -> None:
        self._folder = folder
        self._name = name
        self._token = token
        self._runtime = Runtime(folder.run, insist=self._insist)
        self._insist_alone: Callable[[], None] = lambda: None

    @contextmanager
    def taken(self, patience: float = 60.0) -> Iterator[None]:
        """Claim the route, and hold it among the processes of this owner.

        Raises Conflict when it is a newer owner's, or has become one meanwhile, whatever else went wrong.
        """
        with self._folder.turn(self._name, self._token, patience):
            with self._alone():
                self._folder.claim(self._name, self._token)
            self._folder.outlast(self._name, self._token)
            try:
                yield
            finally:
                self._folder.insist(self._name, self._token)

    def open(self, route: Route) -> Callable[[], None]:
        """Have the router listen for a route, by a reload if it must; return what takes that back."""
        if self._listens(route):
            return lambda: None
        running = self._runtime.running(self._name)
        if not running or running.port != route.port:
            self._check_free(route)
        before = self._folder.wish(self._name)
        bare = before or Route(name=self._name, port=route.port)
        self._listen(bare.model_copy(update={"port": route.port, "health": route.health}))
        return lambda: self._listen(before)

    def join(self, route: Route, ready: float) -> None:
        """Admit newcomers; once all of them passed their check, within `ready` seconds, shift.

        The lock is given back between looks, so that other routes can move meanwhile. Should one of them reload, the
        newcomers are gone from the new worker, and the next look admits them again.
        """
        give_up = time.monotonic() + ready
        while True:
            with self._alone():
                waiting = self._admit(route)
                if not waiting:
                    self._folder.record(self._name, self._token, route)  # written down first, then moved
                    return self._shift(route)
            if time.monotonic() > give_up:
                break
            time.sleep(_POLL)
        running = self._look()
        last = [f"{endpoint.name} ({slot}): {running.servers[slot, endpoint].check}" for slot, endpoint in waiting]
        self._remove([place for place in _places(route) if not running.member(place)])
        raise Rejected(
            f"route {self._name}: not healthy at {route.health} after {ready:.0f} s: {'; '.join(last)}",
            "read the replica's log; the router is as before",
        )

    def part(self, route: Route, drain: float) -> None:
        """Drain whoever is not in the route any more, for `drain` seconds at most, then remove them."""
        leaving = [place for place in self._look().servers if place not in _places(route)]
        for place in leaving:
            self._runtime.order_all(f"set server {self._server(place)} weight 0")
        give_up = time.monotonic() + drain
        while leaving and self._busy(leaving) and time.monotonic() < give_up:
            time.sleep(_POLL)
        self._remove(leaving)

    def close(self) -> None:
        """Have the router listen no more; nothing happens when it does not."""
        if self._folder.wish(self._name) or self._runtime.running(self._name):
            self._listen(None)

    def _insist(self) -> None:
        self._folder.insist(self._name, self._token)
        self._insist_alone()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with self._folder.rendering(self._name, self._token) as self._insist_alone:
                yield
        finally:
            self._insist_alone = lambda: None

    def _listen(self, wish: Route | None) -> None:
        """Render a route and reload; wait until a worker that knows it answers. The old one ends its own requests."""
        with self._alone():
            before = self._folder.wish(self._name)
            self._folder.record(self._name, self._token, wish)
            try:
                self._runtime.reload()
                self._wait(partial(self._listens, wish), f"reload for {self._name}")
            except ReleaseError:
                self._folder.record(self._name, self._token, before)
                raise

    def _check_free(self, route: Route) -> None:
        """Look before a reload: a worker that cannot bind would make the old one pause."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._folder.bind, route.port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    taken = f"route {self._name}: {self._folder.bind}:{route.port} is taken"
                    raise Conflict(taken, "choose another") from error

    def _admit(self, route: Route) -> list[Place]:
        """Add what is missing, enable at weight 0 what rests; return the places that have not passed their check."""
        running = self._look()
        for place in _places(route):
            name, (_, endpoint) = self._server(place), place
            if place not in running.servers:
                server = f"{name} {endpoint.address}:{endpoint.port} {SERVER_OPTIONS}"
                self._runtime.order(f"add server {server}", "New server registered.")
            if running.rests(place):
                self._runtime.order(f"set server {name} weight 0; enable health {name}; set server {name} state ready")
        return [place for place in _places(route) if not (running.member(place) or running.passed(place))]

    def _shift(self, route: Route) -> None:
        """Move the traffic, then ask whether it moved."""
        for place in _places(route):
            self._runtime.order(f"set server {self._server(place)} weight {WEIGHT}")
        segments, share = self._folder.segments(self._name), str(route.green_share)
        if self._runtime.entries(segments) != route.segments:
            self._runtime.replace(segments, route.segments)
        self._runtime.order_all(f"set map {self._folder.split} {self._name} {share}")
        told = self._runtime.entries(self._folder.split).get(self._name)
        if told != share:
            raise Conflict(
                f"route {self._name}: told HAProxy to give green {share} basis points, it reports {told}",
                "somebody else moves this route; apply again",
            )

    def _busy(self, places: Iterable[Place]) -> bool:
        return any(worker.busy(place) for worker in self._runtime.everywhere(self._name) for place in places)

    def _remove(self, places: Iterable[Place]) -> None:
        """Switch servers off and delete them; those already gone are fine."""
        for name in map(self._server, places):
            self._runtime.ask(f"set server {name} state maint")
            self._runtime.ask(f"shutdown sessions server {name}")
            self._wait(partial(self._deleted, name), f"removing {name}")

    def _deleted(self, name: str) -> bool:
        return self._runtime.ask(f"del server {name}").startswith(("Server deleted", "No such server"))

    def _listens(self, wish: Route | None) -> bool:
        """Tell whether the worker that answers knows a wish's listener, or, without a wish, knows no such route."""
        try:
            running = self._runtime.running(self._name)
        except Unavailable:
            return False  # between two workers
        if running is None or wish is None:
            return running is None and wish is None
        return (running.port, running.health) == (wish.port, wish.health)

    def _look(self) -> Running:
        running = self._runtime.running(self._name)
        if running is None:
            raise Unavailable(f"route {self._name}: HAProxy does not know it any more", "apply it again")
        return running

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + _PATIENCE
        while not done():
            if time.monotonic() > give_up:
                raise Unavailable(f"{what}: not done after {_PATIENCE:.0f} s", "HAProxy's log says why")
            time.sleep(_POLL)

    def _server(self, place: Place) -> str:
        slot, endpoint = place
        return f"{haproxy_config.backend(self._name, slot)}/{haproxy_config.server(endpoint)}"


def _places(route: Route) -> list[Place]:
    return [(slot, endpoint) for slot in SLOTS for endpoint in route.endpoints(slot)]
