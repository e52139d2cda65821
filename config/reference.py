"""Turn the annotated reference.yaml into docs/configuration.md: prose, the annotated example, and a table of keys."""

import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

from config.schema import DURATION, FILES, resolve, schema_of

REFERENCE = Path(__file__).with_name("reference.yaml")
_NOTE = "<!-- Written by `make docs` from config/reference.yaml and the models. Edit those. -->"
_TITLES = {
    "settings": "Settings",
    "alternatives": "Alternatives",
    "service": "Services",
    "environment": "Environments",
    "people": "People",
    "copy": "Copies",
}


def render() -> str:
    """Write the whole page."""
    intro, *parts = REFERENCE.read_text(encoding="utf-8").split("\n\n")
    return "\n\n".join([_NOTE, "# Configuration", _prose(intro.splitlines()), *map(_part, parts)]) + "\n"


def write(path: Path) -> None:
    """Write the page to a file."""
    path.write_text(render(), encoding="utf-8")


def _part(text: str) -> str:
    """Render one top-level key: the comment above it, its example, and the keys that its model knows."""
    lines = text.strip().splitlines()
    above = [line for line in lines if line.startswith("#")]
    key, *example = lines[len(above) :]
    name = key.removesuffix(":")
    page = [f"## {_TITLES[name]}", _prose(above), "```yaml", dedent("\n".join(example)), "```"]
    if name in FILES:
        schema = schema_of(FILES[name])
        page += ["", "| key | takes | default |", "|---|---|---|", *_rows(schema, resolve(schema, schema), "")]
    return "\n".join([page[0], "", page[1], "", *page[2:]])


def _prose(comments: list[str]) -> str:
    return "\n".join(line.removeprefix("#").strip() for line in comments)


def _rows(schema: dict[str, Any], model: dict[str, Any], prefix: str) -> Iterator[str]:
    """List the keys of a model and of every model inside it, one table row each."""
    for key, raw in model["properties"].items():
        node = resolve(schema, raw)
        path = f"{prefix}{key}"
        default = "**required**" if key in model.get("required", ()) else _written(node)
        yield f"| `{path}` | {_takes(schema, node)} | {default} |"
        for inner, where in _models(schema, node, path):
            yield from _rows(schema, inner, where)


def _models(schema: dict[str, Any], node: dict[str, Any], path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Find the models inside a value, with the path that leads into each."""
    if "properties" in node:
        yield node, f"{path}."
    for kind, ref in node.get("discriminator", {}).get("mapping", {}).items():
        yield resolve(schema, {"$ref": ref}), f"{path} ({kind})."
    for free in node.get("patternProperties", {}).values():
        yield from _models(schema, resolve(schema, free), f"{path}.NAME")
    if "items" in node:
        yield from _models(schema, resolve(schema, node["items"]), f"{path}[]")


def _takes(schema: dict[str, Any], node: dict[str, Any]) -> str:
    """Say in a few words what a key takes."""
    match node:
        case {"pattern": pattern} if pattern == DURATION:
            said = "duration"
        case {"const": only}:
            said = f"`{only}`"
        case {"enum": choices}:
            said = ", ".join(f"`{choice}`" for choice in choices)
        case {"discriminator": {"mapping": arms}}:
            said = "kind " + " or ".join(f"`{kind}`" for kind in arms)
        case {"items": items}:
            said = f"list of {_takes(schema, resolve(schema, items))}"
        case {"properties": _}:
            said = "keys"
        case {"patternProperties": free}:
            said = f"names, each with {_takes(schema, resolve(schema, next(iter(free.values()))))}"
        case {"additionalProperties": dict(free)}:
            said = f"names, each with {_takes(schema, resolve(schema, free))}"
        case {"type": kind}:
            said = {"integer": "whole number", "boolean": "true or false", "string": "text"}.get(kind, kind)
    return said


def _written(node: dict[str, Any]) -> str:
    """Write a default as it would stand in a file."""
    default = node.get("default")
    if default in (None, "", [], {}) or "properties" in node:
        return "–"
    if node.get("pattern") == DURATION:
        return f"`{_duration(default)}`"
    return f"`{json.dumps(default)}`" if not isinstance(default, str) else f"`{default}`"


def _duration(seconds: float) -> str:
    """Write seconds in the largest unit that needs no fraction."""
    milliseconds = round(seconds * 1000)
    units = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
    return next(f"{milliseconds // size}{unit}" for unit, size in units.items() if milliseconds % size == 0)
