import hashlib
import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.docker_engine import Engine
from deployments.embedded import base_image
from domain.errors import Invalid

LOOK = """
import importlib, json, os, ssl, sqlite3, sys, zlib, ctypes, decimal, asyncio
from importlib.metadata import distributions
modules = [importlib.import_module(name) for name in ("starlette.applications", "uvicorn", "psycopg")]
print(json.dumps({
    "uid": os.getuid(),
    "from": sorted({module.__file__.split("/site-packages/")[0] for module in modules}),
    "compiled": all(os.path.exists(module.__cached__) for module in [*modules, json, asyncio]),
    "libpq": modules[-1].pq.__impl__,
    "authorities": len(ssl.create_default_context().get_ca_certs()),
    "version": list(sys.version_info[:2]),
    "packages": sorted(found.name for found in distributions()),
}))
"""


@pytest.fixture(scope="module")
def api() -> Any:
    return Engine(None).api


@pytest.fixture
def tag(api: Any) -> Iterator[str]:
    """A tag of this test's own; only the tag is removed, the image is the project's."""
    name = f"test-{uuid.uuid4().hex[:8]}/python:1"
    yield name
    for row in api.images(name):
        api.remove_image(row["RepoTags"][row["RepoTags"].index(name)])


def run(api: Any, image: str, *command: str) -> str:
    made = api.create_container(image=image, command=list(command), user="nobody", network_disabled=True)["Id"]
    try:
        api.start(made)
        code = api.wait(made, timeout=60)["StatusCode"]
        output: str = api.logs(made).decode()
        assert code == 0, output
        return output
    finally:
        api.remove_container(made, force=True)


@pytest.fixture(scope="module")
def packed() -> bytes:
    return base_image.contents(["click"])


def test_the_same_machine_makes_the_same_bytes(packed: bytes) -> None:
    assert hashlib.sha256(base_image.contents(["click"])).digest() == hashlib.sha256(packed).digest()


def test_nothing_in_it_depends_on_who_made_it_when_or_where(packed: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        entries = tar.getmembers()
    assert {(entry.mtime, entry.uid, entry.gid, entry.uname) for entry in entries} == {(0, 0, 0, "root")}
    assert [entry.name for entry in entries if entry.mode & 0o022] == ["tmp"]
    assert not [entry.name for entry in entries if "/test/" in entry.name or "/root/" in f"/{entry.name}"]


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(Invalid, match="no-such-package"):
        base_image.contents(["no-such-package"])


@pytest.mark.real
def test_an_app_finds_its_packages_compiled_and_can_verify_certificates(api: Any, tag: str) -> None:
    said = json.loads(run(api, base_image.ensure(tag=tag), "python3", "-c", LOOK))
    assert said["uid"] == 65534
    assert said["from"] == ["/usr/local/lib/python3.11"]
    assert said["compiled"]
    assert said["libpq"] == "binary"
    assert said["authorities"] > 0
    assert {"starlette", "uvicorn", "psycopg", "psycopg-binary", "anyio", "h11", "idna"} <= set(said["packages"])
    assert "pytest" not in said["packages"]


@pytest.mark.real
def test_a_shell_is_there_for_the_steps_of_a_dockerfile(api: Any, tag: str) -> None:
    assert run(api, base_image.ensure(tag=tag), "/bin/sh", "-c", "echo $((6 * 7))") == "42\n"


@pytest.mark.real
def test_it_is_made_once_and_tagged_again(api: Any, tag: str) -> None:
    first = base_image.ensure()
    assert base_image.ensure(tag=tag) == first
    assert api.inspect_image(tag)["Id"] == first


@pytest.mark.real
def test_an_image_built_on_it_is_not_taken_for_it(api: Any, tag: str) -> None:
    base = base_image.ensure(tag=tag)
    dockerfile = io.BytesIO(f"FROM {tag}\nLABEL test={uuid.uuid4().hex}\n".encode())
    child = [line for line in api.build(fileobj=dockerfile, rm=True, decode=True) if "aux" in line][-1]["aux"]["ID"]
    try:
        assert child != base
        assert base_image.ensure(tag=tag) == base
    finally:
        api.remove_image(child)
