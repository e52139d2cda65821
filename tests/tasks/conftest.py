"""A ledger in a file and an authority to act."""

from pathlib import Path

import pytest

from domain.facts import Entered
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
