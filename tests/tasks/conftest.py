"""A ledger in a file and an authority to act."""

from pathlib import Path

import pytest

from adapters.memory.builder import MemoryBuilder
from adapters.memory.clock import MemoryClock
from adapters.memory.database import MemoryDatabase
from adapters.memory.notices import MemoryNotices
from adapters.memory.probe import MemoryProbe
from adapters.memory.registry import MemoryRegistry
from adapters.memory.router import MemoryRouter
from adapters.memory.source import MemorySource
from adapters.memory.store import MemoryStore
from adapters.memory.workload import MemoryWorkload
from domain.facts import Entered
from domain.ports import Ports
from domain.release.artifact import Artifact
from ledger.journal import SqlJournal
from ledger.lease import SqlLeases
from ledger.open import open_ledger
from tasks.step import Warrant


@pytest.fixture
def warrant(tmp_path: Path) -> Warrant:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    journal, leases = SqlJournal(ledger), SqlLeases(ledger)
    lease = leases.take("shop", "production", "r1", "a test", 60)
    warrant = Warrant(journal=journal, leases=leases, release="r1", service="shop", actor="dora", lease=lease)
    warrant.record(Entered(phase="planned"))
    return warrant


@pytest.fixture
def ports() -> Ports:
    images: dict[str, Artifact] = {}
    return Ports(
        clock=MemoryClock(),
        source=MemorySource(),
        builder=MemoryBuilder(images),
        registry=MemoryRegistry(images),
        workload=MemoryWorkload(),
        probe=MemoryProbe(),
        router=MemoryRouter(),
        databases={"production": MemoryDatabase()},
        store=MemoryStore(),
        notices=MemoryNotices(),
    )
