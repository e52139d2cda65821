"""A PostgreSQL for the tests of databases, and sources of measurements for those of ticks."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.memory.database import MemoryDatabase
from deployments.embedded import postgres
from domain.ports import Database
from tests.adapters.clouded import Clouded
from tests.adapters.copied import Copied
from tests.adapters.scraped import RealPrometheus, Scrapes
from tests.adapters.shop import Shop
from tests.adapters.story import Enriched, Feed, Memory


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The superuser's connection string of a real PostgreSQL 18; `shop` may create databases, `poor` may not."""
    with tempfile.TemporaryDirectory(prefix="interlock-pg-") as name, socket.socket() as free:
        Path(name).chmod(0o711)  # the cluster runs as another user
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        word = Path(name, "password")
        superuser = postgres.dsn(port, postgres.SUPERUSER, postgres.password_in(word), "postgres")
        child = postgres.start(Path(name, "cluster"), port=port, password=word, settings=["fsync=off"])
        try:
            postgres.role(superuser, "shop", "p@ss:w/rd shop", creates_databases=True)
            postgres.role(superuser, "poor", "poor-password")
            yield superuser
        finally:
            postgres.stop(child)


@pytest.fixture
def shop(server: str) -> Shop:
    return Shop(server)


@pytest.fixture
def copied(server: str) -> Iterator[Copied]:
    copied = Copied(server)
    yield copied
    for name in (copied.target.name, *(name for name, _, _ in copied.scratches())):
        copied.beside(f'drop database if exists "{name}" with (force)')


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.real)])
def subject(request: pytest.FixtureRequest) -> tuple[Database, Any]:
    """A database as Interlock sees it, and `execute` as its application does."""
    if request.param == "memory":
        memory = MemoryDatabase()
        return memory, memory.execute
    shop = request.getfixturevalue("shop")
    return shop.database, shop.execute


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def enriched() -> Enriched:
    return Enriched()


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed()
    yield feed
    feed.server.stop()


@pytest.fixture
def scrapes() -> Iterator[Scrapes]:
    scrapes = Scrapes()
    yield scrapes
    scrapes.server.stop()


@pytest.fixture
def clouded() -> Clouded:
    return Clouded()


@pytest.fixture
def prometheus(tmp_path: Path, free_port: int) -> Iterator[RealPrometheus]:
    real = RealPrometheus(tmp_path, free_port)
    yield real
    real.stop()
