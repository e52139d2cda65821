"""The embedded cluster: made once, never as root, never without a password."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deployments.embedded import postgres
from domain.errors import Invalid

pytestmark = pytest.mark.real


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user can reach; pytest's own tmp_path is closed to everybody else."""
    with tempfile.TemporaryDirectory(prefix="interlock-pg-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_it_comes_back_with_what_was_in_it_and_asks_for_the_password(folder: Path, port: int) -> None:
    word = folder / "secrets" / "password"
    superuser = postgres.dsn(port, postgres.SUPERUSER, postgres.password_in(word), "postgres")
    shop = postgres.dsn(port, "shop", "p@ss/w:rd", "shop")
    for round_ in (1, 2):
        child = postgres.start(folder / "cluster", port=port, password=word, settings=["fsync=off"])
        try:
            if os.geteuid() == 0:
                assert Path(f"/proc/{child.pid}").stat().st_uid != 0
                assert "Groups:\t \n" in Path(f"/proc/{child.pid}/status").read_text(), "none of root's groups"
            for _ in range(2):
                postgres.role(superuser, "shop", "p@ss/w:rd")
                postgres.database(superuser, "shop", "shop")
            with psycopg.connect(shop) as link:
                link.execute("create table if not exists t (id int)")
                link.execute("insert into t values (1)")
                assert link.execute("select count(*) from t").fetchall() == [(round_,)]
            for wrong in ("", "wrong"):
                with pytest.raises(psycopg.OperationalError, match="password"):
                    psycopg.connect(postgres.dsn(port, postgres.SUPERUSER, wrong, "postgres"))
        finally:
            postgres.stop(child)
        assert not child.alive
    assert not list((folder / "cluster").glob("*.new"))


def test_a_password_is_made_once_and_only_its_owner_reads_it(folder: Path) -> None:
    word = folder / "secrets" / "password"
    made = postgres.password_in(word)
    assert len(made) >= 32
    assert postgres.password_in(word) == made
    assert word.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_its_user_cannot_reach_is_told_before_anything_is_made(folder: Path, port: int) -> None:
    (folder / "closed").mkdir(mode=0o700)
    if os.geteuid() != 0:
        return  # then it runs as its owner, who reaches it
    with pytest.raises(Invalid, match="cannot reach"):
        postgres.start(folder / "closed" / "cluster", port=port, password=folder / "password")
    assert list((folder / "closed" / "cluster").iterdir()) == []
