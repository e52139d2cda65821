"""reference.yaml is the manual: every key of every model is in it, explained, and it loads."""

from collections.abc import Iterator
from inspect import isclass
from typing import Any, cast, get_args

import pytest
import yaml
from pydantic import BaseModel

from config.reference import REFERENCE, render
from config.schema import FILES
from config.settings import HOUSE
from domain.value import Value

TEXT = REFERENCE.read_text(encoding="utf-8")
LINES = TEXT.splitlines()
WRITTEN: dict[str, Any] = yaml.safe_load(TEXT)
NODES: dict[str, Any] = {key.value: node for key, node in cast(yaml.MappingNode, yaml.compose(TEXT)).value}
Key = tuple[str, str]


def examples() -> Iterator[tuple[Value, yaml.Node]]:
    """Load every part, and the settings once more with each alternative; beside each, the text it came from."""
    for name, model in FILES.items():
        yield model.model_validate(WRITTEN[name], context={"folder": HOUSE}), NODES[name]
    for other, node in zip(WRITTEN["alternatives"], NODES["alternatives"].value, strict=True):
        yield FILES["settings"].model_validate(WRITTEN["settings"] | other, context={"folder": HOUSE}), node


def written(value: Any, node: yaml.Node) -> Iterator[tuple[Key, str]]:
    """List the keys that stand in the text, with the model each belongs to and the line it stands on."""
    match value, node:
        case BaseModel(), yaml.MappingNode():
            names = {field.alias or name: name for name, field in type(value).model_fields.items()}
            for key, inner in node.value:
                yield (type(value).__name__, key.value), LINES[key.start_mark.line]
                yield from written(getattr(value, names[key.value]), inner)
        case dict(), yaml.MappingNode():
            for key, inner in node.value:
                yield from written(value[key.value], inner)
        case tuple(), yaml.SequenceNode():
            for item, inner in zip(value, node.value, strict=True):
                yield from written(item, inner)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Find every model that a type can hold, however deep."""
    if isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models(field.annotation)
    for inner in get_args(annotation):
        yield from models(inner)


KNOWN: set[Key] = {
    (model.__name__, field.alias or name)
    for file in FILES.values()
    for model in models(file)
    for name, field in model.model_fields.items()
}


def test_every_key_of_every_model_is_in_the_reference() -> None:
    assert {key for value, node in examples() for key, _ in written(value, node)} == KNOWN


def test_nothing_unknown_is_in_the_reference() -> None:
    assert set(WRITTEN) == {*FILES, "alternatives"}
    assert {part for other in WRITTEN["alternatives"] for part in other} <= WRITTEN["settings"].keys()
    assert len(list(examples())) == len(FILES) + len(WRITTEN["alternatives"])  # models are closed: loading is the test


def test_every_key_is_explained_somewhere() -> None:
    explained = {key for value, node in examples() for key, line in written(value, node) if " # " in line}
    assert KNOWN - explained == set()


@pytest.mark.parametrize("name", FILES)
def test_the_page_shows_every_part_and_lists_every_key(name: str) -> None:
    page = render()
    assert all(f"`{key}`" in page for key in (field.alias or key for key, field in FILES[name].model_fields.items()))


def test_the_page_says_what_a_key_takes_and_its_default() -> None:
    page = render()
    assert "| `name` | text | **required** |" in page
    assert "| `build.timeout` | duration | `10m` |" in page
    assert "| `schema.lock_timeout` | duration | `50ms` |" in page
    assert "| `store` | kind `folder` or `s3` | **required** |" in page
    assert "| `checks.NAME (http).steps[].method` | `GET`, `POST`, `PUT`, `DELETE` | `GET` |" in page
    assert "| `rollout.ramp` | list of whole number | `[10, 50, 100]` |" in page


def test_nothing_of_this_machine_is_on_the_page() -> None:
    assert str(HOUSE) not in render()


def test_the_page_in_docs_is_the_one_that_the_reference_renders() -> None:
    page = (HOUSE / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == render(), "run `make docs`"
