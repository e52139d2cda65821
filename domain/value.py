"""The shape of every value: frozen, closed, explained."""

import re
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Value(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


V = TypeVar("V", bound=Value)
_put_fields, _put_set, _put_extra, _put_private = (  # past the freeze
    vars(BaseModel)[f"__{slot}__"].__set__
    for slot in ("dict", "pydantic_fields_set", "pydantic_extra", "pydantic_private")
)


def made(model: type[V], **fields: Any) -> V:
    """Make a value of all its fields, in their order and known to be right: twice as fast as with its checks."""
    value = model.__new__(model)
    _put_fields(value, fields)
    _put_set(value, set(fields))
    _put_extra(value, None)
    _put_private(value, None)
    return value


def seconds(text: Any) -> Any:
    """Read `10m`, `1.5h`, `500ms`, a plain number or a timedelta as seconds; leave anything else to pydantic."""
    if isinstance(text, timedelta):
        return text.total_seconds()
    if isinstance(text, str) and (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", text)):
        return float(found[1]) * _UNITS[found[2]]
    return text


Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0, description="a duration such as 30s, 10m, 1.5h")]
Percent = Annotated[int, Field(ge=0, le=100)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="lower case letters, digits and dashes")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
