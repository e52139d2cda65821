"""A model as a YAML file: every key with its default, and what it means."""

from collections.abc import Iterator

import yaml
from pydantic import BaseModel

_WIDTH = 34


def defaults(model: BaseModel) -> str:
    """Write a model's values down, each key with its description as a comment."""
    return "\n".join(_lines(model, "")) + "\n"


def _lines(model: BaseModel, indent: str) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        value, about = getattr(model, name), f"# {field.description}" if field.description else ""
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:".ljust(_WIDTH) + about if about else f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        else:
            plain = list(value) if isinstance(value, tuple) else value
            said = yaml.safe_dump(plain, default_flow_style=True).removesuffix("\n...\n").strip()
            yield f"{f'{indent}{name}: {said}':{_WIDTH}}{about}".rstrip()
