"""The Router port: one contract over the twin in memory and HAProxy, then what only real traffic can show."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest

from adapters.haproxy import HAProxy
from adapters.haproxy_runtime import Runtime
from adapters.memory.router import MemoryRouter
from bench.traffic import Call, Load
from deployments.embedded import haproxy
from deployments.embedded.process import Child
from domain.errors import Conflict, Invalid, Rejected, Unavailable
from domain.ports import Router
from domain.release.route import Endpoint, Route
from tests.adapters.replica import Replica, free_port

TOKEN = 3  # the owner's, where only one owner acts
_numbers = count(1)


class Forgetful(Router, Protocol):
    def forget(self, name: str, token: int) -> None: ...


class World:
    """A router and the replicas behind it."""

    def __init__(self, router: Forgetful, folder: Path) -> None:
        self.router = router
        self.folder = folder
        self.replicas: list[Replica] = []

    def start(self, name: str, version: str = "v1", *, healthy: bool = True) -> Replica:
        """Start a replica; for a router in memory, tell it which are sick."""
        replica = Replica(name, version, healthy)
        self.replicas.append(replica)
        if isinstance(self.router, MemoryRouter) and not healthy:
            self.router.sick.add(name)
        return replica

    def route(self, *, blue: tuple[Endpoint, ...] = (), green: tuple[Endpoint, ...] = (), share: int = 0) -> Route:
        """Make up a route with a name and a port of its own."""
        return Route(name=f"shop-{next(_numbers)}", port=free_port(), blue=blue, green=green, green_share=share)

    def close(self) -> None:
        for replica in self.replicas:
            replica.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One HAProxy for every test that does not break it."""
    folder = tmp_path_factory.mktemp("hap")
    child = haproxy.start(folder)
    yield folder
    haproxy.stop(child)


@pytest.fixture(params=["memory", pytest.param("haproxy", marks=pytest.mark.real)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "memory":
        world = World(MemoryRouter(), tmp_path)
    else:
        folder = request.getfixturevalue("running")
        world = World(HAProxy(folder, drain=2, ready=1.5), folder)
    yield world
    world.close()


@pytest.fixture
def real(running: Path) -> Iterator[World]:
    world = World(HAProxy(running, drain=5, ready=10), running)
    yield world
    world.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[World, Callable[[], Child]]]:
    """A HAProxy of one's own, to be broken; calling the second part starts it again."""
    children = [haproxy.start(tmp_path)]

    def restart() -> Child:
        children.append(haproxy.start(tmp_path))
        return children[-1]

    world = World(HAProxy(tmp_path, drain=2, ready=5), tmp_path)
    yield world, restart
    world.close()
    for child in children:
        haproxy.stop(child)


# the contract


def test_a_route_that_was_applied_is_observed(world: World) -> None:
    blue, green = world.start("old-0"), world.start("new-0", "v2")
    route = world.route(blue=(blue.endpoint,), green=(green.endpoint,), share=2_500)
    route = route.model_copy(update={"segments": {"beta": "green", "staff": "blue"}})
    assert world.router.observe(route.name) is None
    world.router.apply(route, TOKEN)
    assert world.router.observe(route.name) == route
    world.router.apply(route, TOKEN)
    assert world.router.observe(route.name) == route


def test_a_route_changes_in_every_part(world: World) -> None:
    first, second, third = (world.start(f"r-{i}") for i in range(3))
    route = world.route(blue=(first.endpoint, second.endpoint))
    world.router.apply(route.model_copy(update={"segments": {"beta": "green", "staff": "blue"}}), TOKEN)
    changed = route.holding("blue", (second.endpoint,)).holding("green", (third.endpoint,)).giving("green", 10_000)
    changed = changed.model_copy(update={"segments": {"beta": "blue", "press": "green"}, "health": "/"})
    world.router.apply(changed, TOKEN)
    assert world.router.observe(route.name) == changed
    moved = changed.model_copy(update={"port": free_port(), "segments": {}})
    world.router.apply(moved, TOKEN)
    assert world.router.observe(route.name) == moved


def test_a_replica_that_never_becomes_healthy_is_named_and_nothing_changes(world: World) -> None:
    good, sick = world.start("good"), world.start("sick", healthy=False)
    route = world.route(blue=(good.endpoint,))
    world.router.apply(route, TOKEN)
    before = world.router.observe(route.name)
    with pytest.raises(Rejected, match="sick"):
        world.router.apply(route.holding("green", (sick.endpoint, good.endpoint)).giving("green", 5_000), TOKEN)
    assert world.router.observe(route.name) == before
    if isinstance(world.router, HAProxy):
        assert "sick" not in Runtime(world.folder / "run").ask("show stat")
    new = world.route(blue=(sick.endpoint,))
    with pytest.raises(Rejected, match="sick"):
        world.router.apply(new, TOKEN)
    assert world.router.observe(new.name) is None


def test_a_replica_back_at_another_address_replaces_its_old_self(world: World) -> None:
    old, new = world.start("web-0"), world.start("web-0")
    route = world.route(blue=(old.endpoint,))
    world.router.apply(route, TOKEN)
    world.router.apply(route.holding("blue", (new.endpoint,)), TOKEN)
    assert world.router.observe(route.name) == route.holding("blue", (new.endpoint,))


def test_traffic_moves_away_from_replicas_that_fell_sick(world: World) -> None:
    blue, green = world.start("old"), world.start("new")
    route = world.route(blue=(blue.endpoint,), green=(green.endpoint,), share=10_000)
    world.router.apply(route, TOKEN)
    green.stop()
    if isinstance(world.router, MemoryRouter):
        world.router.sick.add("new")
    back = route.giving("blue", 10_000)
    world.router.apply(back, TOKEN)
    assert world.router.observe(route.name) == back


def test_a_forgotten_route_is_gone(world: World) -> None:
    blue = world.start("web")
    route = world.route(blue=(blue.endpoint,))
    world.router.apply(route, TOKEN)
    world.router.forget(route.name, TOKEN)
    world.router.forget(route.name, TOKEN)
    assert world.router.observe(route.name) is None


def test_a_stale_token_is_refused_and_changes_nothing(world: World) -> None:
    route = world.route(blue=(world.start("web").endpoint,))
    world.router.apply(route, 7)
    for stale in (
        lambda: world.router.apply(route.giving("green", 5_000), 5),
        lambda: world.router.forget(route.name, 6),
    ):
        with pytest.raises(Conflict, match=r"newer owner, token 7; mine is \d"):
            stale()
        assert world.router.observe(route.name) == route
    again = route.giving("green", 2_000)
    world.router.apply(again, 7)
    assert world.router.observe(route.name) == again
    world.router.forget(route.name, 8)
    with pytest.raises(Conflict):
        world.router.apply(route, 7)
    assert world.router.observe(route.name) is None


@pytest.mark.parametrize("known", [True, False])
def test_a_claimed_route_refuses_older_owners_before_anything_is_done_to_it(world: World, known: bool) -> None:
    route = world.route(blue=(world.start("web").endpoint,))
    if known:
        world.router.apply(route, 5)
    before = world.router.observe(route.name)
    world.router.claim(route.name, 7)
    assert world.router.observe(route.name) == before
    for stale in (
        lambda: world.router.apply(route.giving("green", 5_000), 6),
        lambda: world.router.claim(route.name, 6),
    ):
        with pytest.raises(Conflict, match="newer owner, token 7; mine is 6"):
            stale()
    assert world.router.observe(route.name) == before
    world.router.claim(route.name, 7)
    world.router.apply(route, 7)
    assert world.router.observe(route.name) == route


# what HAProxy does with requests


def versions(port: int, users: range | None, requests: int = 0, **headers: str) -> Counter[str]:
    """Ask once per user, or so many times without a name; count the versions that answered."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    seen: Counter[str] = Counter()
    for user in users if users is not None else range(requests):
        named = {"x-user-id": f"user-{user}"} if users is not None else {}
        line.request("GET", "/", headers={**named, **{k.replace("_", "-"): v for k, v in headers.items()}})
        answer = line.getresponse()
        answer.read()
        seen[answer.headers.get("x-version") or str(answer.status)] += 1
    line.close()
    return seen


def pair(world: World, share: int = 0) -> tuple[Route, Replica, Replica]:
    """Apply a route with one v1 in blue and one v2 in green."""
    blue, green = world.start("old"), world.start("new", "v2")
    route = world.route(blue=(blue.endpoint,), green=(green.endpoint,), share=share)
    world.router.apply(route, TOKEN)
    return route, blue, green


@pytest.mark.real
def test_the_share_is_what_users_see(real: World) -> None:
    route, _, _ = pair(real)
    for share in (0, 1_000, 5_000, 10_000):
        real.router.apply(route.giving("green", share), TOKEN)
        expected = 500 * share / 10_000
        slack = 5 * (expected * (1 - share / 10_000)) ** 0.5  # five standard deviations
        assert abs(versions(route.port, range(500))["v2"] - expected) <= slack
        assert abs(versions(route.port, None, 500)["v2"] - expected) <= slack


@pytest.mark.real
def test_a_user_stays_with_a_version_and_a_growing_share_takes_nobody_back(real: World) -> None:
    route, _, _ = pair(real)
    before: set[int] = set()
    for share in (500, 2_000, 6_000):
        real.router.apply(route.giving("green", share), TOKEN)
        green = {user for user in range(200) if versions(route.port, range(user, user + 1))["v2"]}
        again = {user for user in range(200) if versions(route.port, None, 1, cookie=f"uid=user-{user}")["v2"]}
        assert green == again
        assert before < green
        before = green


@pytest.mark.real
def test_a_segment_is_pinned_to_its_slot_until_it_is_released(real: World) -> None:
    route, _, _ = pair(real)
    real.router.apply(route.model_copy(update={"segments": {"beta": "green"}}), TOKEN)
    assert versions(route.port, range(20), x_segment="beta") == {"v2": 20}
    assert versions(route.port, range(20), x_segment="other") == {"v1": 20}
    real.router.apply(route.model_copy(update={"green_share": 10_000, "segments": {"beta": "blue"}}), TOKEN)
    assert versions(route.port, range(20), x_segment="beta") == {"v1": 20}
    real.router.apply(route.giving("green", 10_000), TOKEN)
    assert versions(route.port, range(20), x_segment="beta") == {"v2": 20}


@pytest.mark.real
@pytest.mark.parametrize(("share", "other"), [(10_000, "v1"), (0, "v2")])
def test_a_slot_without_live_replicas_is_served_by_the_other(real: World, share: int, other: str) -> None:
    route, blue, green = pair(real, share)
    (green if share else blue).stop()
    soon(lambda: versions(route.port, range(5)) == {other: 5})


@pytest.mark.real
def test_a_connection_from_before_a_reload_follows_the_share_too(real: World) -> None:
    route, _, _ = pair(real, 10_000)
    lines = [http.client.HTTPConnection("127.0.0.1", route.port, timeout=10) for _ in range(3)]
    assert [visit(line) for line in lines] == ["v2"] * 3
    real.router.apply(real.route(blue=(real.start("web").endpoint,)), TOKEN)  # a new listener: the router reloads
    real.router.apply(route.giving("blue", 10_000), TOKEN)
    assert [visit(line) for line in lines] == ["v1"] * 3
    assert lines[0].sock is None  # the old worker said good-bye


def visit(line: http.client.HTTPConnection, path: str = "/") -> str | None:
    line.request("GET", path)
    with line.getresponse() as answer:
        answer.read()
        return answer.headers.get("x-version")


@pytest.mark.real
def test_a_request_from_before_a_reload_is_waited_for(real: World) -> None:
    route, _, _ = pair(real)
    answers: list[str | None] = []
    line = http.client.HTTPConnection("127.0.0.1", route.port, timeout=10)
    slow = threading.Thread(target=lambda: answers.append(visit(line, "/slow?seconds=3")))
    slow.start()
    time.sleep(0.2)
    real.router.apply(real.route(), TOKEN)  # a new listener: the router reloads
    real.router.apply(route.giving("green", 10_000).holding("blue", ()), TOKEN)
    slow.join(timeout=0.5)
    assert answers == ["v1"]


@pytest.mark.real
def test_a_lone_replica_that_is_killed_takes_few_requests_with_it(real: World) -> None:
    code = "import signal\nfrom tests.adapters.replica import Replica\n"
    code += "print(Replica('new', 'v2').server_address[1], flush=True)\nsignal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as doomed:
        assert doomed.stdout is not None
        lone = Endpoint(name="new", address="127.0.0.1", port=int(doomed.stdout.readline()))
        route = real.route(blue=(real.start("old").endpoint,), green=(lone,), share=10_000)
        real.router.apply(route, TOKEN)
        with Load(route.port, rate=150, mix=[Call("read")]) as load:
            time.sleep(1)
            doomed.kill()
            soon(lambda: load.snapshot().by_version.get("v1", 0) > 150)
    report = load.stop()
    assert report.failed < 0.05 * report.sent  # health checks alone would let a quarter fail


def soon(true: Callable[[], bool], patience: float = 15) -> None:
    give_up = time.monotonic() + patience
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.1)


MIX = [Call("read", weight=3), Call("write", "POST", body='{"n": {n}}'), Call("slow", path="/slow", weight=0.1)]


@pytest.mark.real
def test_no_request_is_lost_while_replicas_come_and_go_and_the_router_reloads(real: World) -> None:
    olds = [real.start(f"old-{i}") for i in range(2)]
    news = [real.start(f"new-{i}", "v2") for i in range(2)]
    route = real.route(blue=tuple(replica.endpoint for replica in olds))
    real.router.apply(route, TOKEN)
    with Load(route.port, rate=150, mix=MIX, users=200) as load:
        route = route.holding("green", tuple(replica.endpoint for replica in news))
        for share in (0, 1_000, 5_000, 10_000, 0, 10_000):
            real.router.apply(route.giving("green", share), TOKEN)
            time.sleep(0.4)
        for _ in range(3):
            other = real.route(blue=(news[0].endpoint,))
            real.router.apply(other, TOKEN)  # a new listener: the router reloads
            real.router.forget(other.name, TOKEN)
        route = route.giving("green", 10_000).holding("blue", ())
        real.router.apply(route, TOKEN)
        for replica in olds:
            replica.stop()
        time.sleep(0.5)
    report = load.stop()
    assert report.sent > 300
    assert report.by_version.keys() == {"v1", "v2"}
    assert (report.failed, report.client_retries) == (0, 0), report
    assert len(report.acknowledged["write"]) == report.by_call["write"]["201"]


@pytest.mark.real
def test_a_request_under_way_is_answered_by_the_replica_that_leaves(real: World) -> None:
    route, _, _ = pair(real)
    answers: list[str | None] = []
    line = http.client.HTTPConnection("127.0.0.1", route.port, timeout=10)
    slow = threading.Thread(target=lambda: answers.append(visit(line, "/slow")))
    slow.start()
    time.sleep(0.15)
    real.router.apply(route.giving("green", 10_000).holding("blue", ()), TOKEN)
    slow.join()
    assert answers == ["v1"]


# what HAProxy does when things break


def worker(folder: Path) -> int:
    """Ask the worker for its pid."""
    info = dict(line.split(": ", 1) for line in Runtime(folder / "run").ask("show info").splitlines() if ": " in line)
    return int(info["Pid"])


@pytest.mark.real
def test_a_router_that_was_killed_comes_back_as_it_was(own: tuple[World, Callable[[], Child]]) -> None:
    world, restart = own
    route, blue, _ = pair(world, 3_000)
    second = world.start("old-1")
    route = route.holding("blue", (blue.endpoint, second.endpoint)).giving("green", 7_000)
    route = route.model_copy(update={"segments": {"beta": "blue"}})
    world.router.apply(route, TOKEN)
    users = [versions(route.port, range(user, user + 1)) for user in range(50)]
    os.kill(worker(world.folder), signal.SIGKILL)
    soon(lambda: dead(world.router, route.name))
    restart()
    assert world.router.observe(route.name) == route
    assert [versions(route.port, range(user, user + 1)) for user in range(50)] == users
    # what was a dynamic server is a static one now; it leaves just the same
    emptied = route.giving("green", 10_000).holding("blue", ())
    world.router.apply(emptied, TOKEN)
    assert world.router.observe(route.name) == emptied


def dead(router: Router, name: str) -> bool:
    try:
        router.observe(name)
    except Unavailable:
        return True
    return False


@pytest.mark.real
def test_a_dead_router_is_unavailable_and_the_wish_unchanged(own: tuple[World, Callable[[], Child]]) -> None:
    world, restart = own
    route, _, _ = pair(world, 3_000)
    os.kill(worker(world.folder), signal.SIGKILL)
    soon(lambda: dead(world.router, route.name))
    with pytest.raises(Unavailable, match="did not answer"):
        world.router.apply(route.giving("green", 9_000), TOKEN)
    restart()
    assert world.router.observe(route.name) == route


@pytest.mark.real
def test_an_apply_that_was_cut_off_while_replicas_joined_left_no_traffic_and_is_completed(
    own: tuple[World, Callable[[], Child]],
) -> None:
    world, _ = own
    route, _, green = pair(world, 10_000)
    sick = world.start("late", "v3", healthy=False)
    wider = route.holding("green", (sick.endpoint, green.endpoint))
    runtime = Runtime(world.folder / "run")
    server = f"{route.name}__green/late:127.0.0.1:{sick.endpoint.port}"
    runtime.order(  # as far as it came
        f"add server {server} 127.0.0.1:{sick.endpoint.port} check inter 500ms rise 1 fall 3", "New server registered."
    )
    runtime.order(f"set server {server} weight 0; enable health {server}; enable server {server}")
    assert world.router.observe(route.name) == route
    assert versions(route.port, range(20)) == {"v2": 20}
    sick.healthy = True
    world.router.apply(wider, TOKEN)
    assert world.router.observe(route.name) == wider
    assert versions(route.port, range(20)).keys() == {"v2", "v3"}


@pytest.mark.real
def test_files_that_somebody_changed_are_put_right_by_the_next_apply(own: tuple[World, Callable[[], Child]]) -> None:
    world, restart = own
    route, _, _ = pair(world, 3_000)
    (world.folder / "haproxy.cfg").write_text("nonsense\n")
    (world.folder / "maps" / "split.map").write_text(f"{route.name} 9999\n")
    assert world.router.observe(route.name) == route  # what runs, not what is written
    world.router.apply(route, TOKEN)
    os.kill(worker(world.folder), signal.SIGKILL)
    soon(lambda: dead(world.router, route.name))
    restart()
    assert world.router.observe(route.name) == route


@pytest.mark.real
def test_a_route_need_not_wait_for_another_routes_sick_replica(running: Path) -> None:
    world = World(HAProxy(running, drain=2, ready=4), running)
    route, _, _ = pair(world, 10_000)
    sick = world.route(blue=(world.start("sick", healthy=False).endpoint,))
    refused: list[Rejected] = []

    def join() -> None:
        try:
            world.router.apply(sick, TOKEN)
        except Rejected as error:
            refused.append(error)

    joining = threading.Thread(target=join)
    joining.start()
    soon((running / "routes" / f"{sick.name}@{TOKEN}.json").exists)
    world.router.apply(route.giving("blue", 10_000), TOKEN)
    assert joining.is_alive()
    third = world.route(blue=(world.start("web").endpoint,))
    # the third's reload sweeps the joining replica away; it is admitted again, and refused in time
    world.router.apply(third, TOKEN)
    joining.join()
    assert len(refused) == 1
    assert world.router.observe(sick.name) is None
    assert world.router.observe(route.name) == route.giving("blue", 10_000)
    assert world.router.observe(third.name) == third
    world.close()


@pytest.mark.real
def test_somebody_elses_share_is_a_conflict(real: World) -> None:
    route, _, _ = pair(real)
    runtime, stop = Runtime(real.folder / "run"), threading.Event()

    def meddle() -> None:
        while not stop.is_set():
            runtime.order(f"set map {real.folder}/maps/split.map {route.name} 1234")

    meddler = threading.Thread(target=meddle)
    meddler.start()
    try:
        with pytest.raises(Conflict, match="reports 1234"):
            insist(real.router, route.giving("green", 5_000))
    finally:
        stop.set()
        meddler.join()


def insist(router: Router, route: Route) -> None:
    """Apply until somebody gets in between command and confirmation."""
    for _ in range(500):
        router.apply(route, TOKEN)


@pytest.mark.real
def test_a_taken_port_is_a_conflict_and_nothing_is_rendered(real: World) -> None:
    taken, _, _ = pair(real)
    route = real.route().model_copy(update={"port": taken.port})
    with pytest.raises(Conflict, match=f"{taken.port} is taken"):
        real.router.apply(route, TOKEN)
    assert real.router.observe(route.name) is None
    assert route.name not in (real.folder / "haproxy.cfg").read_text()


@pytest.mark.real
def test_what_haproxy_cannot_express_is_invalid_all_at_once(real: World) -> None:
    route = Route(
        name="shop one",
        port=60_000,
        health="/healthz\n  bind :1",
        blue=(Endpoint(name="a b", address="127.0.0.1", port=1), Endpoint(name="web", address="localhost", port=1)),
        segments={"x; shutdown": "green"},
    )
    with pytest.raises(Invalid) as refused:
        real.router.apply(route, TOKEN)
    for part in ("shop one", "60000", "health path", "a b", "localhost", "x; shutdown"):
        assert part in refused.value.message


def test_a_folder_too_deep_for_sockets_is_invalid(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"socket path"):
        HAProxy(tmp_path / ("deep" * 20))
    with pytest.raises(Invalid, match="cannot name"):
        HAProxy(tmp_path / "with space")
