"""Docker, HAProxy, PostgreSQL and a folder, changed by hand behind the ledger's back: seen, mended and cleared away."""

import io
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest
from docker.errors import NotFound

from adapters.connect import Desk
from adapters.docker import Docker
from adapters.docker_container import labels as labels_of
from adapters.docker_engine import Engine
from adapters.folder import Folder
from adapters.haproxy import HAProxy
from adapters.haproxy_runtime import Runtime
from adapters.http import HttpProbe
from adapters.memory.secrets import MemorySecrets
from adapters.postgres import Postgres
from adapters.system_clock import SystemClock
from deployments.embedded import base_image, dockerd, haproxy, postgres
from domain.facts import Entered, NowServing, Opened
from domain.release.artifact import Artifact, Deployment, Recipe
from domain.release.plan import Request, Settled
from domain.release.route import Route
from flows.ramp import endpoints
from flows.reconcile import reconcile
from tasks.clear_away import clear_away
from tasks.deploy import deploy
from tasks.find_orphans import find_orphans
from tasks.shift import attach
from tasks.step import Warrant
from tests.adapters.test_builder import NoSecrets, packed
from tests.adapters.test_keepers import end, writer

if TYPE_CHECKING:
    from conftest import World

pytestmark = pytest.mark.real
STACK = f"real-{uuid.uuid4().hex[:8]}"
APP = """
import os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
class App(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(os.environ["INTERLOCK_VERSION"].encode())
    def log_message(self, *_): pass
print("listening", flush=True)
ThreadingHTTPServer(("", int(os.environ["PORT"])), App).serve_forever()
"""
SLEEP = ["python3", "-c", "import time; time.sleep(600)"]
SAME = "shop in production: the world is as the ledger says"


@dataclass
class Ground:
    """An engine and a router, and an image for the shop."""

    docker: Docker
    api: Any
    folder: Path
    artifact: Artifact
    newest: int = 0  # the last token that engine and router have met: every test has a ledger of its own

    def build(self, release: str, version: str = "1.0.0") -> Artifact:
        files = {"Dockerfile": 'ARG BASE\nFROM ${BASE}\nCOPY app.py /\nCMD ["python3", "/app.py"]\n', "app.py": APP}
        recipe = Recipe(
            service="shop", version=version, commit="c" * 40, dockerfile="Dockerfile",
            args={"BASE": base_image.TAG}, labels={"interlock.build": release},
        )  # fmt: skip
        image = self.docker.build(recipe, packed(files)).id
        return Artifact(repository="r/shop", version=version, digest=image, image=image)


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    base_image.ensure()
    docker, folder = Docker(None, STACK, NoSecrets()), Path(tempfile.mkdtemp(prefix="il-real-", dir="/tmp"))
    child = haproxy.start(folder)
    ground = Ground(docker, Engine(None).api, folder, Artifact.model_construct())
    try:
        ground.artifact = ground.build("r-1")
        yield ground
    finally:
        haproxy.stop(child)
        dockerd.clear(STACK)
        for volume in ground.api.volumes(filters={"label": f"interlock.stack={STACK}"})["Volumes"] or []:
            ground.api.remove_volume(volume["Name"])
        shutil.rmtree(folder)


@dataclass
class Shop:
    """A shop that serves 1.0.0 from two replicas in production, by the ledger and in the world."""

    ground: Ground
    desk: Desk
    deployment: Deployment
    port: int

    def look(self, repair: bool = False) -> str:
        return reconcile.fn("shop", "production", repair, "dora", "a test")

    def served(self) -> set[str]:
        """Ask as users do, often enough to meet every replica."""
        with httpx.Client(trust_env=False) as client:
            answers = [client.get(f"http://127.0.0.1:{self.port}/") for _ in range(20)]
        return {f"{answer.status_code} {answer.text}" for answer in answers}

    def replicas(self) -> dict[str, str]:
        """Name what runs, and where."""
        return {r.name: r.address for r in self.ground.docker.running("shop", "production") if r.running}

    def routed(self) -> dict[str, str]:
        """Name where the router leads to, and with which part of the traffic."""
        route = self.desk.ports.router.observe("shop-production")
        assert route is not None
        assert route.share("blue") == 10_000
        return {endpoint.name: endpoint.address for endpoint in route.blue}

    def container(self, name: str, labels: dict[str, str], *, network: bool = True) -> str:
        """Start a container by hand."""
        api = self.ground.api
        host = api.create_host_config(network_mode=f"interlock-{STACK}-production" if network else "none")
        made = api.create_container(base_image.TAG, SLEEP, name=f"{STACK}-{name}", labels=labels, host_config=host)[
            "Id"
        ]
        api.start(made)
        return str(made)

    def alive(self, made: str) -> bool:
        with suppress(NotFound):
            return bool(self.ground.api.inspect_container(made)["State"]["Running"])
        return False


def free_port() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            if (port := probe.getsockname()[1]) < 55_000:
                return int(port)


@pytest.fixture
def shop(
    ground: Ground, world: "World", monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Shop]:
    ports = replace(
        world.desk.ports, workload=ground.docker, builder=ground.docker, probe=HttpProbe(), clock=SystemClock(),
        router=HAProxy(ground.folder, drain=2, ready=10), databases={},
    )  # fmt: skip
    desk = replace(world.desk, ports=ports)
    monkeypatch.setattr("flows.reconcile.connect", lambda name: desk)
    deployment = Deployment.model_validate(
        {
            "service": "shop", "environment": "production", "release": "r-1", "version": "1.0.0", "slot": "blue",
            "artifact": ground.artifact, "replicas": 2, "resources": {"memory": "64m"}, "config": {"MOTTO": "ahoy"},
            "runtime": {"ready_within": 20, "logs_within": 10, "drain": 1},
        }
    )  # fmt: skip
    shop = Shop(ground, desk, deployment, free_port())
    open_for_business(shop)
    yield shop
    token = ground.newest = desk.leases.take("shop", "production", "tidy", "the test is over", 60, force=True).token
    ground.docker.stop(ground.docker.running("shop", "production"), 0, token)
    HAProxy(ground.folder).forget("shop-production", token)


def open_for_business(shop: Shop) -> None:
    """Do and write down what a release would, under a token above those of the tests before."""
    desk, journal = shop.desk, shop.desk.journal
    while (lease := desk.leases.take("shop", "production", "r-1", "opening", 60)).token <= shop.ground.newest:
        desk.leases.give_back(lease)
    warrant = Warrant(journal=journal, leases=desk.leases, release="r-1", service="shop", actor="dora", lease=lease)
    request = Request(service="shop", ref="v1.0.0", environments=("production",), requester="dora")
    warrant.record(Opened(request=request, run=""))
    up = deploy(warrant, shop.deployment, desk.ports)
    route = Route(name="shop-production", port=shop.port, blue=endpoints(up.replicas))
    attach(warrant, route, desk.ports.router)
    warrant.record(NowServing(settled=Settled(deployment=shop.deployment, commit="c" * 40)))
    for phase in ("planned", "built", "deploying", "baking", "settled", "released"):
        warrant.record(Entered(phase=phase))  # type: ignore[arg-type]  # phases, all six
    desk.leases.give_back(lease)
    assert shop.look() == SAME
    assert shop.served() == {"200 1.0.0"}


def by_hand(shop: Shop, **changes: str) -> dict[str, str]:
    """Label as Interlock does, except for what is changed."""
    known = labels_of(shop.deployment, STACK) | {"interlock.token": "0"}
    return known | {f"interlock.{name}": value for name, value in changes.items()}


def test_a_replica_that_was_removed_by_hand_is_started_and_led_to(shop: Shop) -> None:
    name = min(shop.replicas())
    shop.ground.api.remove_container(name, force=True)
    assert shop.look() == "shop in production: 1 difference between ledger and world: replicas"
    assert name not in shop.replicas()
    assert shop.look(repair=True) == SAME
    assert len(shop.replicas()) == 2
    assert shop.routed() == shop.replicas()
    assert shop.served() == {"200 1.0.0"}


def test_a_container_started_by_hand_with_our_labels_is_stopped_and_its_neighbour_is_not(shop: Shop) -> None:
    stray = shop.container("stray", by_hand(shop, slot="green"))
    neighbour = shop.container("neighbour", {})
    try:
        assert shop.look() == "shop in production: 1 difference between ledger and world: replicas"
        assert shop.alive(stray)
        assert shop.look(repair=True) == SAME
        assert not shop.alive(stray)
        assert shop.alive(neighbour)
        assert shop.routed() == shop.replicas()
    finally:
        shop.ground.api.remove_container(neighbour, force=True)


def test_a_replica_that_was_replaced_by_hand_is_put_right(shop: Shop) -> None:
    api, name = shop.ground.api, min(shop.replicas())
    api.remove_container(name, force=True)
    host = api.create_host_config(network_mode=f"interlock-{STACK}-production")
    made = api.create_container(
        base_image.TAG, SLEEP, name=name, labels=by_hand(shop, config="f" * 64), host_config=host
    )
    api.start(made["Id"])
    assert "image, config" in shop.look()
    assert shop.look(repair=True) == SAME
    assert not shop.alive(made["Id"])
    assert shop.routed() == shop.replicas()
    assert shop.served() == {"200 1.0.0"}


def turn_share(shop: Shop, runtime: Runtime) -> None:
    runtime.order(f"set map {shop.ground.folder}/maps/split.map shop-production 10000")


def pin_segment(shop: Shop, runtime: Runtime) -> None:
    runtime.replace(shop.ground.folder / "maps" / "shop-production.segments.map", {"beta": "green"})


def switch_off(shop: Shop, runtime: Runtime) -> None:
    name, address = min(shop.replicas().items())
    runtime.order(f"set server shop-production__blue/{name}:{address}:8080 state maint")


def drain(shop: Shop, runtime: Runtime) -> None:
    name, address = min(shop.replicas().items())
    runtime.order(f"set server shop-production__blue/{name}:{address}:8080 state drain")


def take_weight(shop: Shop, runtime: Runtime) -> None:
    name, address = min(shop.replicas().items())
    runtime.order(f"set server shop-production__blue/{name}:{address}:8080 weight 0")


WAYS = [turn_share, pin_segment, switch_off, drain, take_weight]


@pytest.mark.parametrize("change", WAYS, ids=lambda change: change.__name__)
def test_a_route_that_was_changed_through_the_runtime_socket_is_put_back(
    shop: Shop, change: Callable[[Shop, Runtime], None]
) -> None:
    change(shop, Runtime(shop.ground.folder / "run"))
    assert shop.look() == "shop in production: 1 difference between ledger and world: route"
    assert shop.look(repair=True) == SAME
    assert shop.routed() == shop.replicas()
    assert shop.served() == {"200 1.0.0"}


def test_replicas_that_somebody_moved_to_other_addresses_are_led_to(shop: Shop) -> None:
    api, before = shop.ground.api, shop.replicas()
    for name in sorted(before):
        [network] = api.inspect_container(name)["NetworkSettings"]["Networks"]
        api.disconnect_container_from_network(name, network, force=True)
        api.connect_container_to_network(name, network)
    assert shop.replicas() != before
    assert shop.look() == "shop in production: 1 difference between ledger and world: route"
    assert shop.look(repair=True) == SAME
    assert shop.routed() == shop.replicas()
    assert shop.served() == {"200 1.0.0"}


@pytest.fixture
def dsn() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="il-real-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        port, word = free_port(), Path(name, "password")
        superuser = postgres.dsn(port, postgres.SUPERUSER, postgres.password_in(word), "postgres")
        child = postgres.start(Path(name, "cluster"), port=port, password=word, settings=["fsync=off"])
        try:
            postgres.role(superuser, "shop", "shop-password", creates_databases=True)
            postgres.database(superuser, "shop", "shop")
            yield postgres.dsn(port, "shop", "shop-password", "shop")
        finally:
            postgres.stop(child)


def aborted(shop: Shop, release: str) -> str:
    """Write down a release that ended before it published anything."""
    request = Request(service="shop", ref="v2", environments=("production",), requester="dora")
    facts = (Opened(request=request, run=""), Entered(phase="planned"), Entered(phase="aborted"))
    for fact in facts:
        shop.desk.journal.append(fact, actor="dora", release=release, service="shop")
    return release


def test_an_orphan_of_each_kind_goes_and_its_neighbour_stays(shop: Shop, dsn: str, tmp_path: Path) -> None:
    ground, api = shop.ground, shop.ground.api
    store, secret = Folder(tmp_path / "store"), "secret://env/DSN"
    databases = {"production": Postgres(secret, MemorySecrets({secret: dsn}))}
    desk = replace(shop.desk, ports=replace(shop.desk.ports, store=store, databases=databases))
    dead = aborted(shop, "shop-dead")
    labels = by_hand(shop, release=dead)

    plain = packed({"Dockerfile": f"FROM {base_image.TAG}\nCOPY x /x\n", "x": uuid.uuid4().hex})
    told = list(api.build(fileobj=io.BytesIO(plain), custom_context=True, decode=True, rm=True))
    neighbour_image = next(line["aux"]["ID"] for line in told if "aux" in line)

    replica, check = shop.container("left", labels), shop.container("check", {**labels, "interlock.check": "1"})
    neighbour = shop.container("beside", {})
    api.kill(check)
    image = ground.build(dead, "2.0.0").image
    networks = [
        api.create_network(f"{STACK}-{name}", labels=it)["Id"]
        for name, it in (("gone", {**labels, "interlock.environment": "gone"}), ("theirs", {}))
    ]
    unfenced = {name: said for name, said in labels.items() if name != "interlock.token"}  # one with it is a fence
    volumes = [
        api.create_volume(f"{STACK}-{name}", labels=it)["Name"] for name, it in (("left", unfenced), ("theirs", {}))
    ]
    desk.ports.router.apply(Route(name="blog-production", port=free_port()), 0)
    store.put("evidence/theirs", [b"whole"])
    end(writer(tmp_path / "store"))
    [part] = (tmp_path / "store" / ".incoming").iterdir()
    os.utime(part, (time.time() - 7200,) * 2)
    with psycopg.connect(dsn, autocommit=True) as link:
        for name in ("interlock_scratch_1000_aaaaaaaa", "interlock_scratch_mine"):
            link.execute(f"create database {name}".encode())

    try:
        expected = {replica, check, image, networks[0], volumes[0], "blog-production", part.name}
        expected.add("interlock_scratch_1000_aaaaaaaa")
        assert {it.belonging.id for it in find_orphans(desk, everywhere=True)} == expected
        assert {it.belonging.id for it in clear_away(desk, everywhere=True)} == expected
        assert find_orphans(desk, everywhere=True) == ()

        assert not shop.alive(replica)
        assert shop.alive(neighbour)
        assert {row["Id"] for row in api.images(all=True)} & {image, neighbour_image} == {neighbour_image}
        assert {row["Id"] for row in api.networks()} & set(networks) == {networks[1]}
        assert {row["Name"] for row in api.volumes()["Volumes"]} & set(volumes) == {volumes[1]}
        assert list(store.keys("")) == ["evidence/theirs"]
        with psycopg.connect(dsn) as link:
            left = link.execute("select datname from pg_database where datname like 'interlock_%'").fetchall()
        assert left == [("interlock_scratch_mine",)]
        assert shop.look() == SAME
        assert shop.served() == {"200 1.0.0"}
    finally:
        api.remove_container(neighbour, force=True)
        api.remove_network(networks[1])
        api.remove_volume(volumes[1])
        api.remove_image(neighbour_image)
