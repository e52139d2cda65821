"""Sealed backups are for those who have a key, and everything else is as it was."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from adapters.folder import Folder
from adapters.memory.database import MemoryDatabase
from adapters.memory.secrets import MemorySecrets
from adapters.sealed import WITHIN, Sealed
from domain.errors import Invalid, Rejected
from domain.ports import Store
from tasks.dump import Dump

IDENTITY = pyrage.x25519.Identity.generate()
ANOTHER = pyrage.x25519.Identity.generate()


def sealed(inner: Store, identity: pyrage.x25519.Identity = IDENTITY, within: tuple[str, ...] = WITHIN) -> Sealed:
    known = MemorySecrets({"secret://env/IDENTITY": str(identity)})
    return Sealed(inner, [str(IDENTITY.to_public())], "secret://env/IDENTITY", known, within)


def read(store: Store, key: str) -> bytes:
    with store.open(key) as stream:
        return stream.read()


def pieces(size: int, piece: int = 1_000_003) -> Iterator[bytes]:
    content = hashlib.shake_256(str(size).encode()).digest(size)
    return (content[at : at + piece] for at in range(0, size, piece))


def test_nothing_of_a_backup_can_be_read_where_it_lies(tmp_path: Path) -> None:
    store = sealed(Folder(tmp_path))
    store.put("backups/shop/one.dump", [b"card 4111111111111111 " * 1000])
    store.put("evidence/shop/one.log", [b"all is well"])
    lies = (tmp_path / "backups/shop/one.dump").read_bytes()
    assert lies.startswith(b"age-encryption.org/v1")
    assert b"4111" not in lies
    assert (tmp_path / "evidence/shop/one.log").read_bytes() == b"all is well"


def test_another_key_opens_nothing_and_says_so(tmp_path: Path) -> None:
    sealed(Folder(tmp_path)).put("backups/one", [b"x"])
    with sealed(Folder(tmp_path), ANOTHER).open("backups/one") as there, pytest.raises(Rejected, match="cannot be"):
        there.read()


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_what_is_cut_off_or_damaged_never_ends_as_if_it_were_whole(tmp_path: Path, size: int) -> None:
    store, path = sealed(Folder(tmp_path)), tmp_path / "backups/one"
    store.put("backups/one", pieces(size))
    whole = path.read_bytes()
    for bad in (whole[:-1], whole[:-40], whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(bad)
        with store.open("backups/one") as there, pytest.raises(Rejected, match="cannot be opened"):
            list(iter(lambda: there.read(100_000), b""))  # read at once


def test_what_was_stored_before_there_was_a_key_can_still_be_read(tmp_path: Path) -> None:
    Folder(tmp_path).put("backups/old", [b"plain"])
    store = sealed(Folder(tmp_path))
    assert read(store, "backups/old") == b"plain"
    assert store.put("backups/old", [b"plain"]) == hashlib.sha256(b"plain").hexdigest()


def test_a_reader_that_stops_half_way_leaves_no_thread_behind(tmp_path: Path) -> None:
    store = sealed(Folder(tmp_path))
    store.put("backups/one", pieces(5_000_000))
    before = threading.active_count()
    with store.open("backups/one") as there:
        there.read(10)
    assert threading.active_count() == before


@pytest.mark.parametrize("key", ["age1nonsense", "ssh-ed25519 AAAA"])
def test_a_recipient_that_is_none_is_refused_at_the_door(tmp_path: Path, key: str) -> None:
    with pytest.raises(Invalid, match="is no age recipient"):
        Sealed(Folder(tmp_path), [key], "secret://env/IDENTITY", MemorySecrets({}))


def test_an_identity_that_is_none_is_named_by_its_reference_alone(tmp_path: Path) -> None:
    sealed(Folder(tmp_path)).put("backups/one", [b"x"])
    store = Sealed(
        Folder(tmp_path),
        [str(IDENTITY.to_public())],
        "secret://env/I",
        MemorySecrets({"secret://env/I": "hunter2"}),
    )
    with pytest.raises(Invalid) as refused, store.open("backups/one"):
        pass
    assert "secret://env/I is no age identity" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_backup_that_was_sealed_is_verified_as_any_other(tmp_path: Path) -> None:
    database, store = MemoryDatabase(), sealed(Folder(tmp_path))
    database.execute("create table orders (id int)")
    database.execute("insert into orders values (1), (2)")
    dump = Dump(database)
    store.put("backups/one.dump", dump.chunks())
    with store.open("backups/one.dump") as stored:
        database.verify(stored, dump.backup())
    database.execute("insert into orders values (3)")
    again = Dump(database)
    list(again.chunks())
    with store.open("backups/one.dump") as stored, pytest.raises(Rejected, match=r"public\.orders"):
        database.verify(stored, again.backup())
