"""JSON Schema for editors says the same as the models."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.schema import DURATION, FILES, follow, json_schema, schema_of, write
from domain.release.service import Service
from domain.value import seconds


def test_there_is_a_closed_schema_for_every_kind_of_file() -> None:
    schemas = json_schema()
    assert list(schemas) == ["settings", "service", "environment", "people", "copy"]
    for schema in schemas.values():
        assert schema["additionalProperties"] is False
        assert schema["$schema"].startswith("https://json-schema.org/")


def test_keys_are_written_as_in_the_file() -> None:
    assert "schema" in json_schema()["service"]["properties"]
    assert "schema_" not in json_schema()["service"]["properties"]


def test_nothing_of_this_machine_is_in_a_schema() -> None:
    assert str(Path(__file__).parent.parent.parent) not in json.dumps(json_schema())


@given(st.from_regex(DURATION, fullmatch=True) | st.text("0123456789.smhd -e", max_size=8))
def test_text_fits_the_schema_of_a_duration_exactly_when_it_is_read_as_one(text: str) -> None:
    assert bool(re.search(DURATION, text)) == isinstance(seconds(text), float)


def test_the_files_are_written_and_written_again(tmp_path: Path) -> None:
    for _ in range(2):
        paths = write(tmp_path / "schemas")
        assert [path.name for path in paths] == [f"{name}.schema.json" for name in FILES]
    assert json.loads(paths[1].read_text()) == json_schema()["service"]


@pytest.mark.parametrize(
    ("location", "path", "known"),
    [
        (("environments", "production", "port"), "environments.production.port", {"type": "integer"}),
        (("checks", "unit", "http", "steps", 0, "within"), "checks.unit.steps.0.within", {"pattern": DURATION}),
        (("schema", "migrations"), "schema.migrations", {"default": "db/migrations"}),
        (("nothing", "here"), "nothing.here", {}),
    ],
)
def test_a_location_is_followed_to_its_schema(
    location: tuple[str | int, ...], path: str, known: dict[str, object]
) -> None:
    node, found = follow(schema_of(Service), location)
    assert ".".join(found) == path
    assert known.items() <= node.items()
    assert bool(node) == bool(known)
