import io
import socket
import tarfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.docker import Docker
from adapters.docker_engine import Engine
from adapters.memory.builder import MemoryBuilder
from adapters.memory.registry import MemoryRegistry
from adapters.registry import OCIRegistry
from deployments.embedded import base_image, dockerd, registry
from deployments.embedded.process import stop
from domain.errors import Invalid, Rejected, Unavailable
from domain.ports import Builder, Registry
from domain.release.artifact import Image, Recipe

STACK = f"test-{uuid.uuid4().hex[:8]}"
DOCKERFILE = "FROM scratch\nCOPY app.py /app.py\n"
# The label is there for the steps of builds that fail: the engine keeps them, and `clear` finds them by it.
WITH_SHELL = f"ARG BASE\nFROM ${{BASE}}\nLABEL interlock.stack={STACK}\n"
COMMIT = "c" * 40


class NoSecrets:
    def resolve(self, reference: str) -> str:
        raise Invalid(f"{reference}: there are none")


@dataclass
class Works:
    builder: Builder
    registry: Registry
    name: str

    def recipe(self, version: str = "1.0.0", **changes: object) -> Recipe:
        args = {"BASE": base_image.TAG}
        known = {"service": self.name, "version": version, "commit": COMMIT, "dockerfile": "Dockerfile", "args": args}
        return Recipe.model_validate({**known, **changes})


def packed(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def context(**files: str) -> bytes:
    return packed({"Dockerfile": DOCKERFILE, "app.py": uuid.uuid4().hex, **files})


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    base_image.ensure()
    yield Docker(None, STACK, NoSecrets())
    dockerd.clear(STACK)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    child = registry.start(tmp_path_factory.mktemp("registry"), port)
    yield f"http://127.0.0.1:{port}"
    stop(child)


@pytest.fixture(params=["memory", pytest.param("docker", marks=pytest.mark.real)])
def works(request: pytest.FixtureRequest) -> Works:
    name = f"shop-{uuid.uuid4().hex[:8]}"
    if request.param == "memory":
        images: dict[str, object] = {}
        return Works(MemoryBuilder(images), MemoryRegistry(images), name)  # type: ignore[arg-type]  # one dict for both
    url = request.getfixturevalue("published")
    return Works(request.getfixturevalue("docker"), OCIRegistry(url), name)


def test_a_build_is_found_again_by_its_labels(works: Works) -> None:
    image = works.builder.build(works.recipe(labels={"interlock.build": "r-1"}), context())
    assert works.builder.find({"interlock.build": "r-1", "interlock.service": works.name}) == image
    assert works.builder.find({"interlock.commit": COMMIT, "interlock.service": works.name}) == image
    assert works.builder.find({"interlock.build": "r-2", "interlock.service": works.name}) is None


def test_of_several_builds_the_newest_is_found(works: Works) -> None:
    works.builder.build(works.recipe(), context())
    newest = works.builder.build(works.recipe(), context())
    assert works.builder.find({"interlock.service": works.name}) == newest


def test_the_same_tar_builds_the_same_image_and_another_tar_another_one(works: Works) -> None:
    tar = context()
    image = works.builder.build(works.recipe(), tar)
    assert works.builder.build(works.recipe(), tar) == image
    assert works.builder.build(works.recipe(), context()) != image


def test_a_missing_dockerfile_is_rejected_and_named(works: Works) -> None:
    with pytest.raises(Rejected, match=r"Dockerfile\.prod"):
        works.builder.build(works.recipe(dockerfile="Dockerfile.prod"), context())


def test_what_is_pushed_is_what_the_registry_resolves(works: Works) -> None:
    image = works.builder.build(works.recipe("1.2.3"), context())
    repository = works.registry.repository(works.name)
    digest = works.builder.push(image, repository, "1.2.3")
    assert works.builder.push(image, repository, "1.2.3") == digest
    artifact = works.registry.resolve(repository, "1.2.3")
    assert artifact is not None
    assert artifact == works.registry.resolve(repository, digest)
    assert (artifact.image, artifact.digest) == (image.id, digest)
    assert (artifact.version, artifact.commit) == ("1.2.3", COMMIT)
    assert artifact.reference == f"{repository}@{digest}"


def test_an_image_that_was_never_built_cannot_be_pushed(works: Works) -> None:
    with pytest.raises(Invalid, match=f"pushing .*{works.name}"):
        works.builder.push(Image(id=f"sha256:{'0' * 64}"), works.registry.repository(works.name), "1.0.0")


@pytest.mark.real
def test_a_failing_step_is_rejected_with_the_end_of_its_log(docker: Docker) -> None:
    works = Works(docker, MemoryRegistry({}), f"shop-{uuid.uuid4().hex[:8]}")
    lines = "RUN i=0; while [ $i -lt 50 ]; do echo line-$i; i=$((i+1)); done; echo the disk is full; exit 7\n"
    with pytest.raises(Rejected) as caught:
        docker.build(works.recipe(), context(Dockerfile=WITH_SHELL + lines))
    assert "the disk is full" in caught.value.message
    assert "code: 7" in caught.value.message
    assert "line-10\n" not in caught.value.message
    assert docker.find({"interlock.service": works.name}) is None


@pytest.mark.real
@pytest.mark.parametrize("step", ["time.sleep(600)", "[print(time.sleep(0.1)) for _ in range(6000)]"])
def test_a_build_that_takes_too_long_is_rejected_and_leaves_nothing(docker: Docker, step: str) -> None:
    engine = Engine(None).api
    mark = uuid.uuid4().hex
    with pytest.raises(Rejected, match="not done after 1 s"):
        docker.build(
            Works(docker, MemoryRegistry({}), "slow").recipe(timeout=1.0),
            context(Dockerfile=f"{WITH_SHELL}RUN python3 -c 'import time; {step} # {mark}'\n"),
        )
    give_up = time.monotonic() + 60  # the engine kills the step and then removes its container, in its own time
    while [row for row in engine.containers(all=True) if mark in row["Command"]] and time.monotonic() < give_up:
        time.sleep(0.1)
    assert not [row for row in engine.containers(all=True) if mark in row["Command"]]


@pytest.mark.real
def test_a_registry_that_does_not_answer_is_unavailable(docker: Docker) -> None:
    image = docker.build(Works(docker, MemoryRegistry({}), "shop").recipe(), context())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable, match="pushing"):
            docker.push(image, f"127.0.0.1:{taken.getsockname()[1]}/shop", "1.0.0")


@pytest.mark.real
def test_an_engine_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    gone = Docker(f"unix://{tmp_path}/docker.sock", "test", NoSecrets())
    with pytest.raises(Unavailable, match=r"docker\.sock"):
        gone.find({"interlock.service": "shop"})
