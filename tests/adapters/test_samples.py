"""The Samples port: one contract over the twin in memory and HAProxy's log, then what only a log can show."""

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from adapters.haproxy import HAProxy
from adapters.memory.router import MemoryRouter, script
from bench.traffic import Call, Load
from deployments.embedded import haproxy
from domain.canary.tick import BOUNDARIES, Sample, Tick, gather, quantile
from domain.errors import Invalid, Unavailable
from domain.ports import Samples
from domain.release.route import Route
from tests.adapters.replica import Replica, free_port


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("hap")
    child = haproxy.start(folder)
    yield folder
    haproxy.stop(child)


@pytest.fixture(scope="module")
def traffic(running: Path) -> Iterator[tuple[HAProxy, Route, Replica, Replica]]:
    """A route whose traffic is halved between v1 in blue and v2 in green."""
    blue, green = Replica("old-0", "v1"), Replica("new-0", "v2")
    router = HAProxy(running)
    route = Route(name="shop-test", port=free_port(), blue=(blue.endpoint,), green=(green.endpoint,), green_share=5_000)
    router.apply(route, token=1)
    yield router, route, blue, green
    blue.stop()
    green.stop()


class Stage:
    """A listener's surroundings: `say` makes one good request per arm."""

    def __init__(self, router: MemoryRouter | HAProxy, route: Route) -> None:
        self.router = router
        self.route = route

    def listen(self, candidate: str = "green") -> AbstractContextManager[Samples]:
        return self.router.samples(self.route, candidate)

    def say(self) -> None:
        if isinstance(self.router, MemoryRouter):
            pair = [Sample(arm=a, replica=r, status=200, microseconds=900) for a, r in self.arms()]
            self.router.traffic = script(gather(0, pair))
        else:
            ask(self.route.port, "/", "stable")
            ask(self.route.port, "/", "candidate")

    def arms(self) -> list[tuple[str, str]]:
        return [("stable", "old-0"), ("candidate", "new-0")]


def ask(port: int, path: str, arm: str, body: bytes | None = None) -> int:
    """Send one request, pinned by segment, on a connection of its own."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    line.request("POST" if body else "GET", path, body, {"x-segment": arm})
    answer = line.getresponse()
    answer.read()
    line.close()
    return answer.status


@pytest.fixture(params=["memory", pytest.param("haproxy", marks=pytest.mark.real)])
def stage(request: pytest.FixtureRequest) -> Stage:
    if request.param == "memory":
        route = Route(name="shop-test", port=8080)
        router = MemoryRouter()
        router.apply(route, token=1)
        return Stage(router, route)
    real, route, _, _ = request.getfixturevalue("traffic")
    route = route.model_copy(update={"segments": {"stable": "blue", "candidate": "green"}})
    real.apply(route, token=1)
    return Stage(real, route)


# the contract


def test_ticks_are_consecutive_seconds_and_an_idle_one_is_empty(stage: Stage) -> None:
    with stage.listen() as samples:
        ticks = [samples.tick() for _ in range(3)]
    assert [tick.second - ticks[0].second for tick in ticks] == [0, 1, 2]
    assert all(tick.cells == () for tick in ticks)


def test_requests_are_counted_per_arm_and_replica(stage: Stage) -> None:
    with stage.listen() as samples:
        stage.say()
        ticks = [samples.tick() for _ in range(2)]
    cells = [cell for tick in ticks for cell in tick.cells]
    assert sorted((cell.arm, cell.replica, cell.requests, cell.bad) for cell in cells) == [
        ("candidate", "new-0", 1, 0),
        ("stable", "old-0", 1, 0),
    ]
    assert all(cell.latency().sum() == 1 for cell in cells)


def test_a_route_has_one_listener_at_a_time(stage: Stage) -> None:
    with stage.listen(), pytest.raises(Unavailable, match="listens to this route already"), stage.listen():
        pass
    with stage.listen():
        pass


def test_a_candidate_is_a_slot(stage: Stage) -> None:
    with pytest.raises(Invalid, match="purple"), stage.listen("purple"):
        pass


# what HAProxy's log tells


def collect(samples: Samples, requests: int) -> list[Tick]:
    """Read ticks until so many requests are counted, and one tick more."""
    ticks: list[Tick] = []
    while sum(cell.requests + cell.repeated for tick in ticks for cell in tick.cells) < requests:
        ticks.append(samples.tick())
        assert len(ticks) < 30
    return [*ticks, samples.tick()]


Traffic = tuple[HAProxy, Route, Replica, Replica]


@pytest.mark.real
def test_every_request_that_was_sent_is_counted_once(traffic: Traffic) -> None:
    router, route, _, _ = traffic
    mix = [Call("read"), Call("write", "POST", body="{}"), Call("boom", path="/boom", weight=0.3, expected=(500,))]
    with router.samples(route, "green") as samples, Load(route.port, rate=150, mix=mix) as load:
        ticks = [samples.tick() for _ in range(3)]
        report = load.stop()
        seen = sum(cell.requests + cell.repeated for tick in ticks for cell in tick.cells)
        ticks += collect(samples, report.sent - seen)
    stable, candidate = total(ticks, "stable"), total(ticks, "candidate")
    assert report.failed == 0
    assert (stable[0], candidate[0]) == (report.by_version["v1"], report.by_version["v2"])
    assert stable[1] + candidate[1] == report.by_call["boom"]["500"]
    assert [tick.second - ticks[0].second for tick in ticks] == list(range(len(ticks)))


def total(ticks: list[Tick], arm: str) -> tuple[int, int]:
    cells = [cell for tick in ticks for cell in tick.cells if cell.arm == arm]
    again = sum(cell.repeated for cell in cells)
    return sum(cell.requests for cell in cells) + again, sum(cell.bad for cell in cells) + again


@pytest.mark.real
def test_the_candidate_is_the_slot_that_was_named(traffic: Traffic) -> None:
    router, route, _, _ = traffic
    router.apply(route.model_copy(update={"segments": {"stable": "blue"}}), token=1)
    with router.samples(route, "blue") as samples:
        ask(route.port, "/", "stable")
        ticks = collect(samples, 1)
    assert [(cell.arm, cell.replica) for tick in ticks for cell in tick.cells] == [("candidate", "old-0")]


@pytest.mark.real
def test_latency_lands_in_its_bucket(traffic: Traffic) -> None:
    router, route, _, _ = traffic
    with router.samples(route, "green") as samples:
        begin = time.monotonic()
        ask(route.port, "/slow", "")
        took = (time.monotonic() - begin) * 1e6
        ticks = collect(samples, 1)
    histogram = sum((cell.latency() for tick in ticks for cell in tick.cells), np.zeros(len(BOUNDARIES) + 1))
    step = BOUNDARIES[1] / BOUNDARIES[0]
    assert 500_000 <= quantile(histogram, 0.5) <= took * step


@pytest.mark.real
def test_no_answer_is_bad_and_a_client_that_left_is_not(traffic: Traffic) -> None:
    router, route, _, _ = traffic
    with router.samples(route, "green") as samples:
        with socket.create_connection(("127.0.0.1", route.port)) as line:
            line.sendall(b"POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 100\r\n\r\nhalf of i")
            time.sleep(0.2)
        left = collect(samples, 1)
        status = ask(route.port, "/hang-up", "", b"{}")
        failed = collect(samples, 1)
    assert status == 502
    assert [(cell.requests, cell.bad) for tick in left for cell in tick.cells] == [(1, 0)]
    assert [(cell.requests, cell.bad) for tick in failed for cell in tick.cells] == [(1, 1)]


@pytest.mark.real
def test_one_clients_retries_are_one_failure_and_nameless_ones_are_counted_each(traffic: Traffic) -> None:
    router, route, _, _ = traffic

    def fail(times: int, **headers: str) -> None:
        for _ in range(times):
            line = http.client.HTTPConnection("127.0.0.1", route.port, timeout=10)
            line.request("GET", "/boom", headers={"x-segment": "", **headers})
            line.getresponse().read()
            line.close()

    with router.samples(route, "green") as samples:
        samples.tick()  # so that all of it falls into one second, or two
        fail(30, **{"x-user-id": "ada"})
        fail(2)
        ticks = collect(samples, 32)
    cells = [cell for tick in ticks for cell in tick.cells]
    assert sum(cell.requests + cell.repeated for cell in cells) == 32
    assert 26 <= sum(cell.repeated for cell in cells) <= 29  # one of each second and each version is the first


@pytest.mark.real
def test_lines_that_are_no_requests_of_ours_are_left_out(traffic: Traffic) -> None:
    router, route, _, _ = traffic
    router.apply(route, token=1)
    with router.samples(route, "green") as samples, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for line in (b"", b"hello", b"other__green web 200 900 GET --", b"\xff\xfe", b"a b c d e f"):
            stranger.sendto(line, ("127.0.0.1", route.port + 10_000))
        with socket.create_connection(("127.0.0.1", route.port)) as line_:
            line_.sendall(b"NONSENSE\r\n\r\n")
            line_.recv(100)
        ask(route.port, "/", "")
        ticks = collect(samples, 1)
    assert sum(cell.requests for tick in ticks for cell in tick.cells) == 1
