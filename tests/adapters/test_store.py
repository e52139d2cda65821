"""One contract for every store: whole or not at all, once and for all, hashed."""

import hashlib
import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.folder import Folder, checked
from adapters.memory.secrets import MemorySecrets
from adapters.memory.store import MemoryStore
from adapters.s3 import S3
from deployments.embedded import seaweedfs
from domain.errors import Conflict, Invalid, Unavailable
from domain.ports import Store
from tests.adapters.test_sealed import sealed

KEY, SECRET = "interlock", "test-secret-key"
PART = 5 * 1024 * 1024  # the least that S3 allows: three parts are then still quick


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real S3 server with the bucket `evidence`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = seaweedfs.start(tmp_path_factory.mktemp("s3"), port=port, access_key=KEY, secret_key=SECRET)
    url = f"http://127.0.0.1:{port}"
    client(url).create_bucket(Bucket="evidence")
    yield url
    seaweedfs.stop(child)


def client(url: str) -> Any:
    return boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET
    )


def s3(url: str, *, secret: str = SECRET, bucket: str = "evidence") -> S3:
    secrets = MemorySecrets({"secret://env/KEY": KEY, "secret://env/SECRET": secret})
    credentials = ("secret://env/KEY", "secret://env/SECRET")
    prefix = uuid.uuid4().hex
    return S3(bucket, prefix, endpoint=url, region="us-east-1", credentials=credentials, secrets=secrets)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.s3._PART", PART)


@pytest.fixture(params=["memory", "folder", "sealed", pytest.param("s3", marks=pytest.mark.real)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    match request.param:
        case "memory":
            return MemoryStore()
        case "sealed":
            return sealed(Folder(tmp_path / "sealed"), within=("",))
        case "folder":
            return Folder(tmp_path / "not" / "there" / "yet")
        case _:
            return s3(request.getfixturevalue("server"))


def read(store: Store, key: str) -> bytes:
    with store.open(key) as stream:
        return stream.read()


def pieces(size: int, piece: int = 1_000_003) -> Iterator[bytes]:
    """Content that differs everywhere, in chunks that fit no part size."""
    content = hashlib.shake_256(str(size).encode()).digest(size)
    return (content[at : at + piece] for at in range(0, size, piece))


class TestContract:
    @pytest.mark.parametrize("size", [0, 1, 100_000, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 5])
    def test_what_was_put_is_read_back(self, store: Store, size: int) -> None:
        content = b"".join(pieces(size))
        assert store.put("backups/shop/one.dump", pieces(size)) == hashlib.sha256(content).hexdigest()
        assert read(store, "backups/shop/one.dump") == content

    def test_the_same_content_may_be_put_again(self, store: Store) -> None:
        assert store.put("a", [b"x", b"y"]) == store.put("a", [b"xy"])

    @pytest.mark.parametrize("size", [5, PART + 7])
    def test_other_content_is_a_conflict_and_the_first_stays(self, store: Store, size: int) -> None:
        store.put("a", pieces(size))
        with pytest.raises(Conflict, match="exists with other content"):
            store.put("a", pieces(size + 1))
        assert read(store, "a") == b"".join(pieces(size))

    @pytest.mark.parametrize("sent", [3, 3 * PART])
    def test_a_source_that_breaks_off_leaves_nothing(self, store: Store, sent: int) -> None:
        def breaks_off() -> Iterator[bytes]:
            yield from pieces(sent)
            raise Unavailable("the dump broke off")

        with pytest.raises(Unavailable, match="broke off"):
            store.put("a", breaks_off())
        assert list(store.keys("")) == []
        store.put("a", [b"whole"])
        assert read(store, "a") == b"whole"

    @pytest.mark.parametrize("size", [100_000, PART + 1])
    def test_of_two_writers_at_once_one_wins_and_nothing_is_mixed(self, store: Store, size: int) -> None:
        start = threading.Barrier(2)

        def write(letter: bytes) -> str | None:
            def chunks() -> Iterator[bytes]:
                start.wait()  # both have looked, neither has written
                yield letter * size

            try:
                return store.put("a", chunks())
            except Conflict:
                return None

        with ThreadPoolExecutor(2) as both:
            outcomes = list(both.map(write, (b"x", b"y")))
        assert outcomes.count(None) == 1
        assert hashlib.sha256(read(store, "a")).hexdigest() in outcomes

    def test_a_missing_object_is_named(self, store: Store) -> None:
        with pytest.raises(Invalid, match="missing"), store.open("evidence/missing"):
            pass

    def test_keys_are_listed_in_order_by_prefix(self, store: Store) -> None:
        for key in ("b/2", "b/10", "a/1", "b-side/1", "bc"):
            store.put(key, [b""])
        assert list(store.keys("")) == ["a/1", "b-side/1", "b/10", "b/2", "bc"]
        assert list(store.keys("b/")) == ["b/10", "b/2"]
        assert list(store.keys("b")) == ["b-side/1", "b/10", "b/2", "bc"]
        assert list(store.keys("c/d/e")) == []

    def test_an_object_that_was_removed_is_gone_and_its_neighbours_stay(self, store: Store) -> None:
        for key in ("backups/1.json", "backups/1", "backups/10", "backups/1.dump"):
            store.put(key, [key.encode()])
        store.remove("backups/1")
        assert list(store.keys("")) == ["backups/1.dump", "backups/1.json", "backups/10"]
        assert list(store.ages("")) == ["backups/1.dump", "backups/1.json", "backups/10"]
        with pytest.raises(Invalid, match="backups/1"), store.open("backups/1"):
            pass
        assert read(store, "backups/1.json") == b"backups/1.json"

    def test_what_is_not_there_can_be_removed_again(self, store: Store) -> None:
        store.put("a/b", [b"x"])
        for key in ("a", "a/b", "a/b", "a/b/c", "nowhere/at/all"):
            store.remove(key)
        assert list(store.keys("")) == []

    def test_a_key_is_free_again_after_its_removal(self, store: Store) -> None:
        store.put("a", [b"x"])
        store.remove("a")
        store.put("a", [b"something else"])
        assert read(store, "a") == b"something else"

    def test_the_age_of_each_object_is_told_in_seconds(self, store: Store) -> None:
        assert store.ages("backups/") == {}
        for key in ("evidence/1", "backups/2", "backups/1"):
            store.put(key, [b"x"])
        ages = store.ages("backups/")
        assert list(ages) == ["backups/1", "backups/2"]
        assert all(-60 < age < 600 for age in ages.values()), ages  # S3 tells whole seconds, and has a clock of its own

    @pytest.mark.parametrize(
        "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".incoming/x", "a\\b", "a\n"]
    )
    def test_a_key_that_could_lead_elsewhere_is_invalid(self, store: Store, key: str) -> None:
        with pytest.raises(Invalid, match="is not a key"):
            store.put(key, [b"x"])
        with pytest.raises(Invalid, match="is not a key"), store.open(key):
            pass
        with pytest.raises(Invalid, match="is not a key"):
            store.remove(key)


@settings(deadline=None)
@given(st.text())
def test_a_checked_key_stays_inside(key: str) -> None:
    try:
        checked(key)
    except Invalid:
        return
    assert Path("/root/of/store", key).resolve().is_relative_to("/root/of/store")
    assert os.path.normpath(key) == key


class TestFolder:
    def test_objects_are_readable_by_their_owner_only(self, tmp_path: Path) -> None:
        Folder(tmp_path).put("backups/one", [b"customers"])
        assert (tmp_path / "backups" / "one").stat().st_mode & 0o777 == 0o600

    def test_what_a_dead_writer_left_is_no_object_and_goes_after_a_day(self, tmp_path: Path) -> None:
        Folder(tmp_path).put("a", [b"x"])
        old, young = tmp_path / ".incoming" / "old", tmp_path / ".incoming" / "young"
        old.write_bytes(b"half")
        young.write_bytes(b"half")
        os.utime(old, (1, 1))
        Folder(tmp_path).put("b", [b"x"])
        assert (old.exists(), young.exists()) == (False, True)
        assert list(Folder(tmp_path).keys("")) == ["a", "b"]

    def test_the_age_is_that_of_the_file(self, tmp_path: Path) -> None:
        Folder(tmp_path).put("a", [b"x"])
        os.utime(tmp_path / "a", (1, 1))
        assert Folder(tmp_path).ages("")["a"] > 50 * 365 * 86_400

    def test_an_object_in_the_way_is_a_conflict(self, tmp_path: Path) -> None:
        Folder(tmp_path).put("a", [b"x"])
        with pytest.raises(Conflict, match="in the way"):
            Folder(tmp_path).put("a/b", [b"x"])
        Folder(tmp_path).put("c/d", [b"x"])
        with pytest.raises(Conflict, match="in the way"):
            Folder(tmp_path).put("c", [b"x"])

    @pytest.mark.real
    def test_a_full_disk_is_named_with_its_free_bytes_and_keeps_nothing(self, tmp_path: Path) -> None:
        script = (
            "import sys; from pathlib import Path\n"
            "from adapters.folder import Folder; from domain.errors import Unavailable\n"
            "folder = Path(sys.argv[1])\n"
            "try: Folder(folder).put('backup', (bytes(4096) for _ in range(1000)))\n"
            "except Unavailable as error: print(error)\n"
            "print('left:', [p.name for p in folder.rglob('*') if p.is_file()])\n"
        )
        inside = 'mount -t tmpfs -o size=256k none "$1" && exec "$2" -c "$3" "$1"'  # a disk of our own, gone with us
        command = ["unshare", "-rm", "sh", "-c", inside, "sh", str(tmp_path), sys.executable, script]
        ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        assert f"{tmp_path} is full: " in ran.stdout
        assert "bytes are free" in ran.stdout
        assert ran.stdout.endswith("left: []\n")


@pytest.mark.real
class TestS3:
    def test_parts_of_a_broken_upload_are_not_kept(self, server: str) -> None:
        def breaks_off() -> Iterator[bytes]:
            yield from pieces(2 * PART)
            raise Unavailable("the dump broke off")

        with pytest.raises(Unavailable):
            s3(server).put("a", breaks_off())
        assert not client(server).list_multipart_uploads(Bucket="evidence").get("Uploads")

    def test_an_upload_that_nobody_ended_is_kept_for_a_day_and_can_be_given_up(
        self, server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = s3(server)
        where = {"Bucket": "evidence", "Key": f"{store.prefix}backups/one"}
        upload = client(server).create_multipart_upload(**where)["UploadId"]
        theirs = client(server).create_multipart_upload(Bucket="evidence", Key="another/one")["UploadId"]
        [found] = store.belongings()
        assert (found.id, found.name, found.in_use) == (upload, where["Key"], True)
        monkeypatch.setattr("adapters.s3._ABANDONED", 0.0)
        [found] = store.belongings()
        assert not found.in_use
        assert store.discard(found, 0)
        assert store.belongings() == ()
        assert store.discard(found, 0)
        left = client(server).list_multipart_uploads(Bucket="evidence")["Uploads"]
        assert [it["UploadId"] for it in left] == [theirs]
        client(server).abort_multipart_upload(Bucket="evidence", Key="another/one", UploadId=theirs)

    def test_the_hash_is_kept_beside_a_small_object(self, server: str) -> None:
        store = s3(server)
        sha256 = store.put("a", [b"plan"])
        assert client(server).head_object(Bucket="evidence", Key=f"{store.prefix}a")["Metadata"] == {"sha256": sha256}

    def test_a_wrong_key_is_invalid_and_not_shown(self, server: str) -> None:
        with pytest.raises(Invalid, match="credentials") as caught:
            s3(server, secret="wrong-secret-key").put("a", [b"x"])
        assert "wrong-secret-key" not in str(caught.value)

    def test_a_bucket_that_is_not_there_is_invalid(self, server: str) -> None:
        with pytest.raises(Invalid):
            list(s3(server, bucket="no-such-bucket").keys(""))

    def test_a_server_that_does_not_answer_is_worth_another_try(self) -> None:
        with pytest.raises(Unavailable):
            s3("http://127.0.0.1:1").put("a", [b"x"])

    def test_references_without_a_resolver_are_invalid(self) -> None:
        with pytest.raises(Invalid, match="nothing resolves them"):
            S3("evidence", credentials=("secret://env/A", "secret://env/B")).put("a", [b"x"])
