import hashlib
import io
import json
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.memory.builder import MemoryBuilder
from adapters.memory.registry import MemoryRegistry
from adapters.registry import OCIRegistry
from deployments.embedded import registry
from deployments.embedded.process import stop
from domain.errors import Conflict, Invalid, Unavailable
from domain.ports import Registry
from domain.release.artifact import Artifact, Recipe

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def upload(url: str, name: str, data: bytes) -> str:
    """Put a blob into a registry as the protocol has it: open an upload, then send everything at once."""
    where = httpx.post(f"{url}/v2/{name}/blobs/uploads/", trust_env=False).headers["Location"]
    httpx.put(
        httpx.URL(where).copy_merge_params({"digest": digest_of(data)}), content=data, trust_env=False
    ).raise_for_status()
    return digest_of(data)


def publish(url: str, name: str, tag: str, config: dict[str, Any], manifest: dict[str, Any] | None = None) -> str:
    """Publish an image without layers; return its digest."""
    image = json.dumps(config).encode()
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": upload(url, name, image)}
    known = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {**described, "size": len(image)}, "layers": []}
    body = json.dumps(manifest or known).encode()
    kind = (manifest or known)["mediaType"]
    put = httpx.put(f"{url}/v2/{name}/manifests/{tag}", content=body, headers={"Content-Type": kind}, trust_env=False)
    put.raise_for_status()
    return digest_of(body)


def labelled(version: str, commit: str) -> dict[str, Any]:
    return {"config": {"Labels": {"interlock.version": version, "interlock.commit": commit}}}


@dataclass
class Served:
    url: str
    folder: Path

    def blob(self, digest: str) -> Path:
        """Find a blob's file in docker-registry's folder."""
        plain = digest.removeprefix("sha256:")
        return self.folder / "images/docker/registry/v2/blobs/sha256" / plain[:2] / plain / "data"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("registry")
    child = registry.start(folder, port)
    yield Served(f"http://127.0.0.1:{port}", folder)
    stop(child)
    assert not registry.answers(f"http://127.0.0.1:{port}")


Publish = Callable[[str, str], str]


@pytest.fixture(params=["memory", pytest.param("oci", marks=pytest.mark.real)])
def shelf(request: pytest.FixtureRequest) -> tuple[Registry, Publish]:
    """A registry, and a way to publish a version of `shop` from a commit there."""
    if request.param == "oci":
        url = request.getfixturevalue("served").url
        return OCIRegistry(url), lambda version, commit: publish(url, "shop", version, labelled(version, commit))
    images: dict[str, Artifact] = {}
    memory, builder = MemoryRegistry(images), MemoryBuilder(images)

    def publish_in_memory(version: str, commit: str) -> str:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("Dockerfile"))
        image = builder.build(
            Recipe(service="shop", version=version, commit=commit, dockerfile="Dockerfile"), out.getvalue()
        )
        return builder.push(image, memory.repository("shop"), version)

    return memory, publish_in_memory


def test_a_tag_and_its_digest_name_the_same_artifact(shelf: tuple[Registry, Publish]) -> None:
    there, put = shelf
    digest = put("1.0.0", "c" * 40)
    repository = there.repository("shop")
    artifact = there.resolve(repository, "1.0.0")
    assert artifact is not None
    assert artifact == there.resolve(repository, digest)
    assert (artifact.repository, artifact.digest) == (repository, digest)
    assert (artifact.version, artifact.commit) == ("1.0.0", "c" * 40)
    assert artifact.image != artifact.digest


def test_two_versions_are_two_artifacts(shelf: tuple[Registry, Publish]) -> None:
    there, put = shelf
    assert put("1.1.0", "a" * 40) != put("1.2.0", "b" * 40)
    first, second = (there.resolve(there.repository("shop"), version) for version in ("1.1.0", "1.2.0"))
    assert first is not None
    assert second is not None
    assert first.image != second.image


def test_what_was_never_published_is_none(shelf: tuple[Registry, Publish]) -> None:
    there, put = shelf
    put("1.0.0", "c" * 40)
    assert there.resolve(there.repository("shop"), "9.9.9") is None
    assert there.resolve(there.repository("shop"), f"sha256:{'0' * 64}") is None
    assert there.resolve(there.repository("nobody"), "1.0.0") is None


@pytest.mark.real
def test_the_repository_is_named_as_the_engine_wants_it(served: Served) -> None:
    assert OCIRegistry(served.url).repository("shop") == f"{served.url.removeprefix('http://')}/shop"


@pytest.mark.real
def test_an_image_without_our_labels_has_no_version(served: Served) -> None:
    there = OCIRegistry(served.url)
    publish(served.url, "plain", "1", {"config": {"Labels": None}})
    publish(served.url, "plain", "2", {})
    for tag in ("1", "2"):
        artifact = there.resolve(there.repository("plain"), tag)
        assert artifact is not None
        assert (artifact.version, artifact.commit) == ("", "")


@pytest.mark.real
def test_a_config_that_changed_on_the_registrys_disk_is_a_conflict(served: Served) -> None:
    there = OCIRegistry(served.url)
    publish(served.url, "changed", "1", labelled("1.0.0", "c" * 40))
    artifact = there.resolve(there.repository("changed"), "1")
    assert artifact is not None
    file = served.blob(artifact.image)
    file.write_bytes(file.read_bytes().replace(b"1.0.0", b"6.6.6"))
    with pytest.raises(Conflict, match="bytes hash to"):
        there.resolve(there.repository("changed"), artifact.digest)


@pytest.mark.real
def test_a_manifest_that_changed_on_the_registrys_disk_is_a_conflict(served: Served) -> None:
    there = OCIRegistry(served.url)
    digest = publish(served.url, "forged", "1", labelled("1.0.0", "c" * 40))
    file = served.blob(digest)
    file.write_bytes(file.read_bytes().replace(b'"layers": []', b'"layers":  []'))
    for reference in ("1", digest):
        with pytest.raises(Conflict, match="bytes hash to"):
            there.resolve(there.repository("forged"), reference)


@pytest.mark.real
def test_a_config_that_the_registry_lost_is_a_conflict(served: Served) -> None:
    there = OCIRegistry(served.url)
    digest = publish(served.url, "lost", "1", labelled("lost", "c" * 40))
    artifact = there.resolve(there.repository("lost"), digest)
    assert artifact is not None
    served.blob(artifact.image).unlink()
    with pytest.raises(Conflict, match="lost the image's config"):
        there.resolve(there.repository("lost"), digest)


@pytest.mark.real
def test_an_index_of_several_images_is_refused(served: Served) -> None:
    there = OCIRegistry(served.url)
    publish(served.url, "many", "1", {}, {"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
    with pytest.raises(Invalid, match="several images"):
        there.resolve(there.repository("many"), "1")


@pytest.mark.real
def test_another_registrys_repository_is_invalid(served: Served) -> None:
    with pytest.raises(Invalid, match=r"elsewhere\.example/shop"):
        OCIRegistry(served.url).resolve("elsewhere.example/shop", "1.0.0")


@pytest.mark.real
def test_a_published_digest_cannot_be_deleted(served: Served) -> None:
    there = OCIRegistry(served.url)
    digest = publish(served.url, "kept", "1", {})
    refused = httpx.delete(f"{served.url}/v2/kept/manifests/{digest}", trust_env=False)
    assert refused.status_code == 405
    assert there.resolve(there.repository("kept"), digest) is not None


@pytest.mark.real
def test_a_tag_moves_whatever_the_request_asks_for(served: Served) -> None:
    """The protocol knows no conditional push, so who publishes reads the tag back; the digest stays what it was."""
    there = OCIRegistry(served.url)
    first = publish(served.url, "raced", "1.0.0", labelled("1.0.0", "a" * 40))
    other = publish(served.url, "raced", "2.0.0", labelled("1.0.0", "b" * 40))
    body = httpx.get(f"{served.url}/v2/raced/manifests/{other}", headers={"Accept": MANIFEST}, trust_env=False).content
    asked = {"Content-Type": MANIFEST, "If-None-Match": "*"}
    moved = httpx.put(f"{served.url}/v2/raced/manifests/1.0.0", content=body, headers=asked, trust_env=False)
    assert moved.status_code == 201
    named, kept = (there.resolve(there.repository("raced"), reference) for reference in ("1.0.0", first))
    assert named is not None
    assert kept is not None
    assert (named.digest, kept.digest) == (other, first)


@pytest.mark.real
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (503, b"overloaded", Unavailable),
        (429, b"slow down", Unavailable),
        (401, b"who are you", Invalid),
        (400, b"bad digest", Invalid),
        (200, b"<html>a proxy's welcome page</html>", Invalid),
    ],
)
def test_other_answers_are_told_apart(status: int, body: bytes, error: type[Exception]) -> None:
    class Odd(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    there = OCIRegistry(f"http://127.0.0.1:{server.server_port}")
    try:
        with pytest.raises(error):
            there.resolve(there.repository("shop"), "1.0.0")
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.real
def test_a_registry_that_does_not_answer_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        there = OCIRegistry(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Unavailable, match="did not answer"):
            there.resolve(there.repository("shop"), "1.0.0")
