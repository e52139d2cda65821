"""A checkpoint: how far the journal reached, kept where the journal's owner cannot rewrite it."""

from collections import deque

from pydantic import ValidationError

from domain.canonical import canonical
from domain.chain import Checkpoint
from domain.errors import Conflict
from domain.ports import Store

_PREFIX = "checkpoints/"


def keep(store: Store, checkpoint: Checkpoint) -> str:
    """Write a checkpoint; return its key. The same checkpoint twice is one object.

    Raises Conflict when the store remembers another row at this place: then the journal was rewritten.
    """
    key = f"{_PREFIX}{checkpoint.seq:012d}.json"
    store.put(key, [canonical(checkpoint).encode()])
    return key


def latest(store: Store) -> Checkpoint | None:
    """Read the checkpoint that reaches furthest; None when there is none yet. Raises Conflict when it is unreadable."""
    newest = deque(store.keys(_PREFIX), maxlen=1)
    if not newest:
        return None
    with store.open(newest[0]) as stored:
        try:
            return Checkpoint.model_validate_json(stored.read())
        except ValidationError as error:
            raise Conflict(f"{newest[0]} is not a checkpoint any more", "compare the store with its backup") from error
