"""Databases, and sources of measurements for the tests of ticks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.memory.database import MemoryDatabase
from domain.ports import Database
from tests.adapters.clouded import Clouded
from tests.adapters.copied import Copied
from tests.adapters.scraped import RealPrometheus, Scrapes
from tests.adapters.story import Enriched, Feed, Memory


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
