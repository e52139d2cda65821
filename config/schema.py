"""The shape of every file, as JSON Schema: for editors, and to say in words what a file got wrong."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from config.settings import Settings
from domain.data.copy import Copy
from domain.environment.profile import Environment
from domain.policy.people import People
from domain.release.service import Service
from domain.value import Value, seconds

FILES: dict[str, type[Value]] = {
    "settings": Settings,
    "service": Service,
    "environment": Environment,
    "people": People,
    "copy": Copy,
}
"""Every kind of file, and the model that it must fit."""

DURATION = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)\s*$"


class _AsWritten(GenerateJsonSchema):
    """Describe a value as people write it: a duration may be text."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        if schema["function"]["function"] is seconds:
            return {"type": ["number", "string"], "pattern": DURATION, "minimum": 0}
        return super().function_before_schema(schema)


def schema_of(model: type[Value]) -> dict[str, Any]:
    """Give the JSON Schema of one model, keys as they are written in the file."""
    return model.model_json_schema(schema_generator=_AsWritten)


def json_schema() -> dict[str, dict[str, Any]]:
    """Give the JSON Schema of every kind of file: settings, service, environment, people, copy."""
    return {name: {"$schema": _AsWritten.schema_dialect, **schema_of(model)} for name, model in FILES.items()}


def write(folder: Path) -> tuple[Path, ...]:
    """Write `NAME.schema.json` for every kind of file; return the paths.

    A file finds its schema by its first line: `# yaml-language-server: $schema=…/service.schema.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in json_schema().items():
        path = folder / f"{name}.schema.json"
        path.write_text(json.dumps(schema, indent=2) + "\n")
        written.append(path)
    return tuple(written)


def follow(schema: dict[str, Any], location: Sequence[int | str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Go from a schema's root to where pydantic found an error.

    Returns the schema there (empty when nothing is known about it) and the path as the file has it: pydantic also
    names the arm of a union that it chose, which no file does.
    """
    node, path = resolve(schema, schema), []
    for part in location:
        arm = node.get("discriminator", {}).get("mapping", {}).get(part)
        if arm:
            node = resolve(schema, {"$ref": arm})
            continue
        path.append(str(part))
        node = resolve(schema, _inside(node, part))
    return node, tuple(path)


def resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Replace a reference by what it refers to, and `X or nothing` by X; what is said beside it stays."""
    beside = {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
    if ref := node.get("$ref"):
        return {**resolve(schema, schema["$defs"][ref.removeprefix("#/$defs/")]), **beside}
    if some := [arm for arm in node.get("anyOf", ()) if arm != {"type": "null"}]:
        return {**resolve(schema, some[0]), **beside}
    return node


def _inside(node: dict[str, Any], part: int | str) -> dict[str, Any]:
    """Find the schema of a key or a list item."""
    if isinstance(part, int):
        return node.get("items") or {}
    named: dict[str, dict[str, Any]] = node.get("properties", {})
    free = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties") or {})
    return named.get(part, free)
