"""Read one YAML file into its model, and say in words everything that is wrong with it.

Every problem is one line, `file: path: message`. A value is never repeated in a message: it may be a secret.
"""

from collections.abc import Hashable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from config.schema import DURATION, follow, schema_of
from config.settings import DatabaseURL, Reference, Target, Web
from domain.value import Digest, Name, Value

M = TypeVar("M", bound=Value)

_SHAPES: Mapping[str, str] = {
    shape["pattern"]: shape.get("description", "")
    for shape in (TypeAdapter(kind).json_schema() for kind in (Name, Digest, Reference, Web, Target, DatabaseURL))
}
_WORDS: Mapping[str, str] = {
    "missing": "missing",
    "string_type": "should be text; put it in quotes",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "path_type": "should be a path",
    "tuple_type": "should be a list",
    "dict_type": "should hold keys and values",
    "model_type": "should hold keys and values",
    "model_attributes_type": "should hold keys and values",
    "invalid_key": "a key should be text; put it in quotes",
    "recursion_loop": "contains itself",
}


class _Loader(yaml.SafeLoader):
    """Safe YAML that also remembers keys given twice, where YAML would silently keep the last."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.repeated: list[str] = []

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[Hashable] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    self.repeated.append(f"{_place(key.start_mark)}: {key.value!r} is given twice")
                seen.add(key.value)
        return node


def read(path: Path, label: str, model: type[M], problems: list[str]) -> M | None:
    """Read a file; add what is wrong with it to `problems` under the name `label`, and return None if anything is.

    An empty file is an empty mapping. Relative paths inside are seen from the file's folder.
    """
    found: list[str] = []
    value = None
    data = _parse(path, found)
    if not found:
        try:
            value = model.model_validate({} if data is None else data, context={"folder": path.parent.absolute()})
        except ValidationError as error:
            schema = schema_of(model)
            found = [_explain(schema, detail) for detail in error.errors(include_url=False)]
    problems += [f"{label}: {problem}" for problem in found]
    return value


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest known word, or list them all."""
    names = sorted(known)
    if near := get_close_matches(word.lower(), names, n=1):
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(names)}" if names else "there are none"


def _parse(path: Path, problems: list[str]) -> Any:
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        data = loader.get_single_data()
    except OSError as error:
        problems.append(f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        problems.append(f"is not UTF-8 text: byte {error.start}")
    except yaml.MarkedYAMLError as error:
        said = " ".join(filter(None, (error.context, error.problem)))
        mark = error.problem_mark or error.context_mark
        problems.append(f"{_place(mark)}: {said}" if mark else said)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-02-31
        problems.append(f"is not YAML: {' '.join(str(error).split())}")
    else:
        problems += loader.repeated
        return data
    return None


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _explain(schema: dict[str, Any], error: ErrorDetails) -> str:
    """Say one of pydantic's errors as an operator would: path and message."""
    node, path = follow(schema, error["loc"])
    match error["type"]:
        case "extra_forbidden":
            parent, _ = follow(schema, error["loc"][:-1])
            said = f"unknown key; {did_you_mean(path[-1], parent.get('properties', ()))}"
        case "union_tag_invalid" | "union_tag_not_found":
            path = (*path, "kind")
            said = _choice(error.get("ctx", {}).get("tag"), node["discriminator"]["mapping"])
        case "literal_error":
            said = _choice(error["input"], node.get("enum") or [node.get("const")])
        case "string_pattern_mismatch":
            pattern = error["ctx"]["pattern"]
            said = f"should be {_SHAPES[pattern]}" if pattern in _SHAPES else f"should match {pattern}"
        case "float_type" | "float_parsing" if node.get("pattern") == DURATION:
            said = "should be a duration such as 30s, 10m or 1.5h"
        case "missing" if "description" in node:
            said = f"missing; {node['description']}"
        case "value_error":
            said = str(error["ctx"]["error"])
        case kind:
            said = _WORDS.get(kind, error["msg"])
    if path[-1:] == ("[key]",):
        path, said = path[:-1], f"the name {said}"
    return ": ".join(filter(None, (".".join(path), said)))


def _choice(given: Any, known: Iterable[Any]) -> str:
    return f"{'missing' if given is None else 'unknown'}; {did_you_mean(str(given), map(str, known))}"
