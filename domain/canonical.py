"""One byte string per value, so that a hash means something."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel


def canonical(value: BaseModel | Any) -> str:
    """Render a model or plain data as canonical JSON: sorted keys, no spaces, UTF-8, no NaN.

    Raises ValueError for NaN and infinities, which have no JSON form.
    """
    data = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)


def sha256(value: BaseModel | Any) -> str:
    """Hash the canonical JSON of a value; 64 hex digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no canonical form")
