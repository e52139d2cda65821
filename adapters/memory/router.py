"""A router and its measurements in memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from domain.canary.tick import Tick
from domain.environment.orphans import Belonging
from domain.errors import Conflict, Invalid, Rejected, Unavailable
from domain.release.route import Endpoint, Route, Slot

# (the route as it is now, the candidate's slot, the second) → what a listener counts in that second
Traffic = Callable[[Route, str, int], Tick]

_EPOCH = 1_700_000_000  # the first second any listener counts


def silence(_route: Route, _candidate: str, second: int) -> Tick:
    """Send nothing."""
    return Tick(second=second)


def script(*ticks: Tick) -> Traffic:
    """Play these ticks one after the other, whatever their seconds say, then nothing."""
    coming = iter(ticks)
    return lambda _route, _candidate, second: next(coming, Tick(second=second))


class MemoryRouter:
    """A Router that obeys at once.

    Replicas named in `sick` never become healthy; `dead` makes every call Unavailable; `traffic` says what listeners
    count; `applied` keeps every route that was applied, in order.
    """

    def __init__(self, traffic: Traffic = silence) -> None:
        self.traffic = traffic
        self.sick: set[str] = set()
        self.dead = False
        self.applied: list[Route] = []
        self._routes: dict[str, Route] = {}
        self._tokens: dict[str, int] = {}
        self._listening: set[str] = set()

    def apply(self, route: Route, token: int) -> None:
        """Take the route over, unless a newcomer is sick or the owner is not the newest."""
        self._answer()
        self.claim(route.name, token)
        before = self._routes.get(route.name)
        known = _places(before) if before else set()
        if sick := sorted(endpoint.name for _, endpoint in _places(route) - known if endpoint.name in self.sick):
            raise Rejected(f"route {route.name}: not healthy at {route.health}: {', '.join(sick)}", "heal it")
        self._routes[route.name] = route.model_copy(update={"blue": _sorted(route.blue), "green": _sorted(route.green)})
        self.applied.append(route)

    def observe(self, name: str) -> Route | None:
        """Report the route; endpoints in order of name."""
        self._answer()
        return self._routes.get(name)

    def belongings(self) -> tuple[Belonging, ...]:
        """List every route."""
        self._answer()
        return tuple(Belonging(kind="route", id=name, name=name) for name in sorted(self._routes))

    def discard(self, belonging: Belonging, token: int) -> bool:
        """Close a route for good; False when it is a newer owner's."""
        with suppress(Conflict):
            self.forget(belonging.id, token)
            return True
        return False

    def forget(self, name: str, token: int) -> None:
        """Close a route for good; nothing happens when there is none."""
        self._answer()
        self.claim(name, token)
        self._routes.pop(name, None)

    @contextmanager
    def samples(self, route: Route, candidate: str) -> Iterator["MemorySamples"]:
        """Listen to a route; one listener at a time."""
        if candidate not in ("blue", "green"):
            raise Invalid(f"{candidate!r} is not a slot of {route.name}", "say blue or green")
        if route.name in self._listening:
            raise Unavailable(f"{route.name}: somebody listens to this route already", "end the other canary")
        self._listening.add(route.name)
        try:
            yield MemorySamples(self, route, candidate)
        finally:
            self._listening.discard(route.name)

    def claim(self, name: str, token: int) -> None:
        """Refuse older owners from now on."""
        if (newest := self._tokens.get(name, 0)) > token:
            raise Conflict(
                f"route {name} was last moved by a newer owner, token {newest}; mine is {token}", "change nothing more"
            )
        self._tokens[name] = token

    def _answer(self) -> None:
        if self.dead:
            raise Unavailable("the router in memory is dead", "revive it")


class MemorySamples:
    """Samples whose seconds pass as fast as they are asked for."""

    def __init__(self, router: MemoryRouter, route: Route, candidate: str) -> None:
        self._router = router
        self._route = route
        self._candidate = candidate
        self._next = _EPOCH

    def tick(self) -> Tick:
        """Count the next second of the router's traffic."""
        second, self._next = self._next, self._next + 1
        route = self._router.observe(self._route.name) or self._route
        return self._router.traffic(route, self._candidate, second).model_copy(update={"second": second})


def _places(route: Route) -> set[tuple[Slot, Endpoint]]:
    slots: tuple[Slot, Slot] = ("blue", "green")
    return {(slot, endpoint) for slot in slots for endpoint in route.endpoints(slot)}


def _sorted(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    return tuple(sorted(endpoints, key=lambda endpoint: endpoint.name))
