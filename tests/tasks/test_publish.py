"""A version is written once: what can be noticed of two who publish it at a time."""

import io
import tarfile
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.memory.builder import MemoryBuilder
from adapters.memory.registry import MemoryRegistry
from domain.errors import Conflict, Refused
from domain.release.artifact import Artifact, Image, Recipe
from tasks.publish import publish
from tasks.step import Warrant


class House:
    """One registry, and an engine that has built the version from two commits."""

    def __init__(self) -> None:
        images: dict[str, Artifact] = {}
        self.builder, self.registry = MemoryBuilder(images), MemoryRegistry(images)
        self.repository = self.registry.repository("shop")
        self.plan: Any = SimpleNamespace(repository=self.repository, version="1.0.0")  # all that the verb reads of one
        self.mine, self.theirs = self.build("a"), self.build("b")

    def build(self, letter: str) -> Image:
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("Dockerfile"))
        recipe = Recipe(service="shop", version="1.0.0", commit=letter * 40, dockerfile="Dockerfile")
        return self.builder.build(recipe, context.getvalue())

    def publish(self, warrant: Warrant) -> Artifact:
        return publish(warrant, self.plan, self.mine, self.builder, self.registry)


@pytest.fixture
def house() -> House:
    return House()


def test_a_published_version_is_found_again(house: House, warrant: Warrant) -> None:
    artifact = house.publish(warrant)
    assert artifact == house.registry.resolve(house.repository, "1.0.0")
    assert house.publish(warrant) == artifact


def test_a_version_with_other_bytes_is_refused_and_stays(house: House, warrant: Warrant) -> None:
    theirs = house.builder.push(house.theirs, house.repository, "1.0.0")
    with pytest.raises(Refused, match="already published with other bytes"):
        house.publish(warrant)
    found = house.registry.resolve(house.repository, "1.0.0")
    assert found is not None
    assert found.digest == theirs


def test_who_looked_before_either_pushed_and_was_overwritten_is_told(
    house: House, warrant: Warrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = house.builder.push

    def push_and_be_overwritten(image: Image, repository: str, tag: str) -> str:
        digest = push(image, repository, tag)
        push(house.theirs, repository, tag)
        return digest

    monkeypatch.setattr(house.builder, "push", push_and_be_overwritten)
    with pytest.raises(Conflict, match="pushed by somebody else as well"):
        house.publish(warrant)
