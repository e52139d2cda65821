"""One small story of traffic, as each kind of source would show it, on a clock that nobody waits for."""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, Protocol, cast
from urllib.parse import parse_qs, urlsplit

from adapters.docker_engine import Engine
from adapters.docker_stats import DockerStats
from adapters.memory.clock import MemoryClock
from adapters.memory.router import MemoryRouter
from adapters.memory.secrets import MemorySecrets
from adapters.polling import Asking, Polling
from adapters.tick_feed import TickFeed
from domain.canary.join import join
from domain.canary.roster import Roster
from domain.canary.tick import Arm, Cell, Tick
from domain.ports import Samples
from domain.release.route import Endpoint, Route

OLD, NEW = ("stable", "old-0"), ("candidate", "new-0")
Counts = Mapping[tuple[str, str], tuple[int, int]]  # (arm, replica) → requests, bad ones among them
BEFORE: Counts = {OLD: (500, 50), NEW: (500, 50)}
STORY: list[Counts] = [{OLD: (90, 1), NEW: (10, 0)}, {OLD: (80, 0)}, {NEW: (20, 3)}]
WHOLE: Counts = {OLD: (170, 1), NEW: (30, 3)}
ROUTE = Route(
    name="shop-test",
    port=8080,
    blue=(Endpoint(name="old-0", address="10.0.0.1", port=8080),),
    green=(Endpoint(name="new-0", address="10.0.0.2", port=8080),),
)
ROSTER = Roster(ROUTE, "green")


class Stage(Protocol):
    """A source and the product behind it."""

    def listen(self) -> AbstractContextManager[Samples]:
        """Listen with `new-0` in green as the candidate."""
        ...

    def say(self, counts: Counts) -> None:
        """Let this traffic happen."""
        ...

    def silence(self, on: bool) -> None:
        """Let the product answer nobody, or everybody again."""
        ...


class Json(ThreadingHTTPServer):
    """Answers every GET with what `answer(path, parameters)` gives: status and object; text goes out as it is."""

    daemon_threads = True

    def __init__(self, answer: Callable[[str, dict[str, str]], tuple[int, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), _Gets)
        self.answer = answer
        self.silent = False
        self.headers: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class _Gets(BaseHTTPRequestHandler):
    server: Json

    def do_GET(self) -> None:
        self.server.headers.append(self.headers.get("authorization", ""))
        where = urlsplit(self.path)
        given = {key: values[0] for key, values in parse_qs(where.query).items()}
        status, plain = (503, None) if self.server.silent else self.server.answer(where.path, given)
        body = (plain if isinstance(plain, str) else json.dumps(plain)).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


class Memory:
    """The router's twin: what the wrappers enrich."""

    def __init__(self) -> None:
        self.router = MemoryRouter()
        self.router.apply(ROUTE, token=1)
        self.coming: list[Tick] = []

    def listen(self) -> AbstractContextManager[Samples]:
        self.coming.clear()
        self.router.traffic = self._next
        return self.router.samples(ROUTE, "green")

    def say(self, counts: Counts) -> None:
        self.coming.append(Tick(second=0, cells=tuple(cell(place, *count) for place, count in counts.items())))

    def silence(self, on: bool) -> None:
        self.router.dead = on

    def _next(self, _route: Route, _candidate: str, second: int) -> Tick:
        return join(second, [self.coming.pop(0)] if self.coming else [])


def cell(place: tuple[str, str], requests: int, bad: int = 0) -> Cell:
    arm: Arm = "stable" if place[0] == "stable" else "candidate"
    return Cell(arm=arm, replica=place[1], requests=requests, bad=bad)


class Enriched(Memory):
    """The twin with Docker's gauges beside it, from an engine that has no containers."""

    def listen(self) -> Polling:
        engine = cast(Engine, SimpleNamespace(api=SimpleNamespace(stats=lambda *_, **__: iter(()))))
        return Polling(Asking(DockerStats(engine, ROSTER)), samples=super().listen())


class Feed:
    """An emitter that serves its last ten ticks; it knows its replicas by their addresses."""

    def __init__(self, **more: Any) -> None:
        self.ticks: list[dict[str, Any]] = []
        self.server = Json(lambda _path, _given: (200, self.ticks[-10:]))
        self.clock = MemoryClock()
        self.more = more

    def listen(self) -> Polling:
        poll = TickFeed(f"{self.server.url}/ticks", MemorySecrets({"secret://env/T": "s3cret"}), ROSTER, **self.more)
        return Polling(Asking(poll), clock=self.clock)

    def say(self, counts: Counts) -> None:
        words = {OLD: ("baseline", "10.0.0.1:8080"), NEW: ("canary", "10.0.0.2:8080")}
        arms: dict[str, Any] = {}
        for place, (requests, bad) in counts.items():
            arm, replica = words[place]
            arms.setdefault(arm, {})[replica] = {
                "requests": requests,
                "bad": bad,
                "latency_ms": [[5, requests - bad], [50, bad]],
            }
        self.emit({"seq": len(self.ticks), "arms": arms})

    def emit(self, plain: dict[str, Any]) -> None:
        self.ticks.append(plain)

    def silence(self, on: bool) -> None:
        self.server.silent = on


def total(ticks: list[Tick]) -> Counts:
    cells = [cell for tick in ticks for cell in tick.cells if cell.requests]
    places = {(cell.arm, cell.replica) for cell in cells}
    return {
        place: (sum(c.requests for c in cells if (c.arm, c.replica) == place), sum_bad(cells, place))
        for place in places
    }


def sum_bad(cells: list[Cell], place: tuple[str, str]) -> int:
    return sum(cell.bad for cell in cells if (cell.arm, cell.replica) == place)


def said(ticks: list[Tick]) -> list[str]:
    return [tick.missing for tick in ticks if tick.missing]
