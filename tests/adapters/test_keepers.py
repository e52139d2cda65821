"""One contract for every product that keeps things in our name; what carries no label of ours is not touched."""

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from docker.errors import NotFound

from adapters.docker import Docker
from adapters.docker_build import mark
from adapters.docker_engine import Engine
from adapters.docker_fence import Fence
from adapters.folder import Folder
from adapters.haproxy import HAProxy
from adapters.memory.builder import MemoryBuilder
from adapters.memory.database import MemoryDatabase
from adapters.memory.router import MemoryRouter
from adapters.memory.secrets import MemorySecrets
from adapters.memory.store import MemoryStore
from adapters.memory.workload import MemoryWorkload
from adapters.postgres import Postgres
from deployments.embedded import base_image, dockerd, haproxy, postgres
from domain.environment.orphans import Belonging
from domain.errors import Rejected
from domain.ports import Keeper
from domain.release.artifact import Recipe
from domain.release.route import Route
from tests.adapters.test_builder import NoSecrets, packed

STACK = f"keep-{uuid.uuid4().hex[:8]}"
SLEEP = ["python3", "-c", "import time; time.sleep(600)"]
DSN = "secret://env/DSN"


@dataclass
class Kept:
    """A product, with one thing that nobody uses and one that somebody does (None: it knows no use)."""

    keeper: Keeper
    idle: Belonging
    used: Belonging | None = None


def listed(keeper: Keeper, name: str) -> Belonging:
    [found] = [it for it in keeper.belongings() if name in (it.id, it.name)]
    return found


# the products


@dataclass
class Bench:
    """A Docker Engine and what tests put on it."""

    docker: Docker
    api: Any
    image: str

    def container(self, labels: dict[str, str], image: str = base_image.TAG, **more: Any) -> str:
        made = self.api.create_container(image=image, command=SLEEP, labels=labels, **more)["Id"]
        self.api.start(made)
        return str(made)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    base_image.ensure()
    docker = Docker(None, STACK, NoSecrets())
    yield Bench(docker, Engine(None).api, built(docker))
    dockerd.clear(STACK)


def built(docker: Docker, release: str = "r-1") -> str:
    files = {"Dockerfile": "ARG BASE\nFROM ${BASE}\nCOPY mark /mark\n", "mark": uuid.uuid4().hex}
    recipe = Recipe(service="shop", version="1.0.0", commit="c" * 40, dockerfile="Dockerfile",
                    args={"BASE": base_image.TAG}, labels={"interlock.build": release})  # fmt: skip
    return docker.build(recipe, packed(files)).id


def ours(**more: str) -> dict[str, str]:
    known = {"stack": STACK, "service": "shop", "environment": "dev", "release": "r-1", **more}
    return {f"interlock.{name}": value for name, value in known.items()}


@pytest.fixture
def networks(bench: Bench) -> Iterator[Callable[[dict[str, str]], str]]:
    made: list[str] = []

    def make(labels: dict[str, str]) -> str:
        made.append(bench.api.create_network(f"{STACK}-{len(made)}", labels=labels)["Id"])
        return made[-1]

    yield make
    for network in made:
        with suppress(NotFound):
            for attached in bench.api.inspect_network(network)["Containers"]:
                bench.api.remove_container(attached, force=True)
            bench.api.remove_network(network)


def docker_network(bench: Bench, request: pytest.FixtureRequest) -> Kept:
    make = request.getfixturevalue("networks")
    idle, used = make(ours()), make(ours())
    bench.container({}, host_config=bench.api.create_host_config(network_mode=used))
    return Kept(bench.docker, listed(bench.docker, idle), listed(bench.docker, used))


def docker_volume(bench: Bench, request: pytest.FixtureRequest) -> Kept:
    idle, used = (bench.api.create_volume(f"{STACK}-{n}", labels=ours())["Name"] for n in ("idle", "used"))
    holder = bench.container({}, host_config=bench.api.create_host_config(binds=[f"{used}:/data"]))

    def clear() -> None:
        bench.api.remove_container(holder, force=True)
        for volume in (idle, used):
            with suppress(NotFound):
                bench.api.remove_volume(volume)

    request.addfinalizer(clear)
    return Kept(bench.docker, listed(bench.docker, idle), listed(bench.docker, used))


def docker_image(bench: Bench, request: pytest.FixtureRequest) -> Kept:
    idle = built(bench.docker)
    for tag in ("one", "two"):
        bench.api.tag(idle, f"127.0.0.1:1/{STACK}", tag)
    holder = bench.api.create_container(image=bench.image)["Id"]
    request.addfinalizer(lambda: bench.api.remove_container(holder))
    return Kept(bench.docker, listed(bench.docker, idle), listed(bench.docker, bench.image))


def router_kept(router: MemoryRouter | HAProxy) -> Kept:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1] % 30_000 + 20_000
    router.apply(Route(name="blog-dev", port=port), 0)
    return Kept(router, listed(router, "blog-dev"))


def real_router(request: pytest.FixtureRequest) -> Kept:
    folder = Path(tempfile.mkdtemp(prefix="il-keep-", dir="/tmp"))
    child = haproxy.start(folder)
    request.addfinalizer(lambda: (haproxy.stop(child), shutil.rmtree(folder)))
    return router_kept(HAProxy(folder, drain=1, ready=5))


@pytest.fixture
def dsn() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="il-keep-", dir="/tmp") as name, socket.socket() as free:
        Path(name).chmod(0o711)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        word = Path(name, "password")
        superuser = postgres.dsn(port, postgres.SUPERUSER, postgres.password_in(word), "postgres")
        child = postgres.start(Path(name, "cluster"), port=port, password=word, settings=["fsync=off"])
        try:
            postgres.role(superuser, "shop", "shop-password", creates_databases=True)
            postgres.database(superuser, "shop", "shop")
            yield postgres.dsn(port, "shop", "shop-password", "shop")
        finally:
            postgres.stop(child)


def real_database(request: pytest.FixtureRequest) -> Kept:
    dsn = request.getfixturevalue("dsn")
    idle, used = "interlock_scratch_1000_aaaaaaaa", "interlock_scratch_1000_bbbbbbbb"
    with psycopg.connect(dsn, autocommit=True) as link:
        for name in (idle, used):
            link.execute(f"create database {name}".encode())
    held = psycopg.connect(psycopg.conninfo.make_conninfo(dsn, dbname=used))
    request.addfinalizer(held.close)
    database = Postgres(DSN, MemorySecrets({DSN: dsn}))
    return Kept(database, listed(database, idle), listed(database, used))


WRITER = """
import sys; from pathlib import Path; from adapters.folder import Folder
def chunks():
    yield b"half of it"
    print("begun", flush=True)
    sys.stdin.read()
Folder(Path(sys.argv[1])).put("backups/one", chunks())
"""


def writer(folder: Path) -> "subprocess.Popen[str]":
    """Begin to write an object in a process of its own, and stay in the middle of it."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], **pipes)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def folder_kept(request: pytest.FixtureRequest) -> Kept:
    folder = request.getfixturevalue("tmp_path")
    dead, alive = writer(folder), writer(folder)
    request.addfinalizer(lambda: end(alive))
    end(dead)
    keeper = Folder(folder)
    [idle] = [it for it in keeper.belongings() if not it.in_use]
    [used] = [it for it in keeper.belongings() if it.in_use]
    return Kept(keeper, idle, used)


def memory_kept(keeper: Any, leftovers: list[Belonging], kind: Any) -> Kept:
    leftovers += [
        Belonging(kind=kind, id="idle", name="idle"),
        Belonging(kind=kind, id="used", name="used", in_use=True),
    ]
    return Kept(keeper, leftovers[0], leftovers[1])


def memory_builder() -> Kept:
    builder = MemoryBuilder({})
    recipe = Recipe(
        service="shop", version="1", commit="c" * 40, dockerfile="Dockerfile", labels={"interlock.build": "r"}
    )
    image = builder.build(recipe, packed({"Dockerfile": "FROM scratch"})).id
    return Kept(builder, listed(builder, image))


MEMORY: dict[str, Callable[[], Kept]] = {
    "memory builder": memory_builder,
    "memory router": lambda: router_kept(MemoryRouter()),
    "memory workload": lambda: memory_kept(it := MemoryWorkload(), it.leftovers, "network"),
    "memory database": lambda: memory_kept(it := MemoryDatabase(), it.scratches, "database"),
    "memory store": lambda: memory_kept(it := MemoryStore(), it.unfinished, "object"),
}
ENGINE = {"docker network": docker_network, "docker volume": docker_volume, "docker image": docker_image}
OTHERS = {"haproxy": real_router, "postgres": real_database}


@pytest.fixture(params=[*MEMORY, "folder", *(pytest.param(n, marks=pytest.mark.real) for n in (*ENGINE, *OTHERS))])
def kept(request: pytest.FixtureRequest) -> Kept:
    name = request.param
    if name in MEMORY:
        return MEMORY[name]()
    if name in ENGINE:
        return ENGINE[name](request.getfixturevalue("bench"), request)
    return folder_kept(request) if name == "folder" else OTHERS[name](request)


# the contract


def test_what_is_kept_is_listed_and_what_is_discarded_is_gone_for_good(kept: Kept) -> None:
    assert not kept.idle.in_use
    assert kept.keeper.discard(kept.idle, 0)
    assert kept.idle.id not in {it.id for it in kept.keeper.belongings()}
    assert kept.keeper.discard(kept.idle, 0)


def test_what_is_in_use_says_so_and_stays(kept: Kept) -> None:
    if kept.used is None:
        assert not any(it.in_use for it in kept.keeper.belongings())
        return
    assert kept.used.in_use
    assert not kept.keeper.discard(kept.used, 0)
    assert kept.used.id in {it.id for it in kept.keeper.belongings()}


# each product's own


@pytest.mark.real
def test_a_container_says_whose_it_is_and_goes_running_or_not(bench: Bench) -> None:
    running, stopped = bench.container(ours(check="1")), bench.container(ours())
    bench.api.kill(stopped)
    for made in (running, stopped):
        found = listed(bench.docker, made)
        assert (found.kind, found.service, found.environment, found.release) == ("container", "shop", "dev", "r-1")
        assert bench.docker.discard(found, 0)
        with pytest.raises(NotFound):
            bench.api.inspect_container(made)


@pytest.mark.real
def test_what_is_not_labelled_or_another_stacks_is_never_listed_and_never_removed(
    bench: Bench, networks: Callable[[dict[str, str]], str]
) -> None:
    labels = [{}, {"com.example": "theirs"}, ours(stack=f"{STACK}-2")]
    containers = [bench.container(it) for it in labels]
    there = {*containers, *map(networks, labels)}
    volumes = [bench.api.create_volume(f"{STACK}-theirs-{n}", labels=it)["Name"] for n, it in enumerate(labels)]
    try:
        assert not {it.id for it in bench.docker.belongings()} & {*there, *volumes, base_image_id(bench)}
        for kind, names in (("container", containers), ("volume", volumes)):
            for name in names:
                assert not bench.docker.discard(Belonging.model_validate({"kind": kind, "id": name, "name": name}), 9)
        assert {row["Id"] for row in bench.api.containers()} >= set(containers)
    finally:
        for made in containers:
            bench.api.remove_container(made, force=True)
        for name in volumes:
            bench.api.remove_volume(name)


@pytest.mark.real
def test_what_a_build_leaves_when_its_engine_is_killed_is_found_by_a_host_that_only_builds_know(bench: Bench) -> None:
    hosts = bench.api.create_host_config(extra_hosts={mark("shop", STACK): "127.0.0.1"})
    theirs = bench.api.create_host_config(extra_hosts={mark("shop", "another"): "127.0.0.1"})
    left, under_way, others = (
        bench.api.create_container(image=base_image.TAG, command=SLEEP, host_config=known)["Id"]
        for known in (hosts, hosts, theirs)
    )
    bench.api.start(under_way)
    try:
        assert {under_way, others}.isdisjoint(it.id for it in bench.docker.belongings())
        found = listed(bench.docker, left)
        assert (found.kind, found.service, found.environment) == ("container", "shop", "build")
        assert bench.docker.discard(found, 0)
        assert not bench.docker.discard(found.model_copy(update={"id": others}), 9)
        with pytest.raises(NotFound):
            bench.api.inspect_container(left)
    finally:
        for made in (under_way, others):
            bench.api.remove_container(made, force=True)


@pytest.mark.real
def test_every_container_of_a_build_knows_that_host(bench: Bench) -> None:
    recipe = Recipe(service="shop", version="1.0.0", commit="c" * 40, dockerfile="Dockerfile")
    told = "RUN python3 -c \"print(open('/etc/hosts').read()); raise SystemExit(1)\""
    with pytest.raises(Rejected, match=re.escape(mark("shop", STACK))):
        bench.docker.build(recipe, packed({"Dockerfile": f"FROM {base_image.TAG}\n{told}\n"}))


@pytest.mark.real
def test_what_remembers_a_token_is_nobodys_to_clear_away(bench: Bench) -> None:
    with Fence(Engine(None), STACK).turn("shop", "dev", 3):
        assert bench.api.volumes(filters={"label": [f"interlock.stack={STACK}", "interlock.token=3"]})["Volumes"]
    assert not [it for it in bench.docker.belongings() if "token" in it.name]


def base_image_id(bench: Bench) -> str:
    return str(bench.api.inspect_image(base_image.TAG)["Id"])


@pytest.mark.real
def test_a_container_that_somebody_runs_from_our_image_inherits_its_labels_and_is_theirs_all_the_same(
    bench: Bench,
) -> None:
    made = bench.container({}, image=bench.image)
    try:
        assert bench.api.inspect_container(made)["Config"]["Labels"]["interlock.stack"] == STACK
        assert made not in {it.id for it in bench.docker.belongings()}
        assert listed(bench.docker, bench.image).in_use
    finally:
        bench.api.remove_container(made, force=True)


@pytest.mark.real
def test_an_image_goes_with_the_layers_that_it_alone_was_built_on_and_its_base_stays(bench: Bench) -> None:
    image = built(bench.docker, "r-2")
    before = {row["Id"] for row in bench.api.images(all=True)}
    assert listed(bench.docker, image).release == "r-2"
    assert bench.docker.discard(listed(bench.docker, image), 0)
    gone = before - {row["Id"] for row in bench.api.images(all=True)}
    assert image in gone
    assert len(gone) > 1
    assert base_image_id(bench) not in gone


def test_an_unfinished_write_that_lost_its_writer_is_known_at_once(tmp_path: Path) -> None:
    process = writer(tmp_path)
    [part] = Folder(tmp_path).belongings()
    assert part.in_use
    end(process)
    [part] = Folder(tmp_path).belongings()
    assert not part.in_use
    assert part.age < 600
    assert Folder(tmp_path).discard(part, 0)
    assert list((tmp_path / ".incoming").iterdir()) == []


def test_a_belonging_cannot_name_a_file_outside(tmp_path: Path) -> None:
    Folder(tmp_path).put("evidence/one", [b"x"])
    assert Folder(tmp_path).discard(Belonging(kind="object", id="../evidence/one", name="x"), 0)
    assert list(Folder(tmp_path).keys("")) == ["evidence/one"]


@pytest.mark.real
def test_a_database_that_only_looks_like_ours_is_not_dropped(dsn: str) -> None:
    database = Postgres(DSN, MemorySecrets({DSN: dsn}))
    with psycopg.connect(dsn, autocommit=True) as link:
        link.execute("create database interlock_scratch_mine")
    assert database.belongings() == ()
    assert not database.discard(Belonging(kind="database", id="shop", name="shop"), 0)
    assert not database.discard(Belonging(kind="database", id="interlock_scratch_mine", name="x"), 0)
