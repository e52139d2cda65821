"""The rule of the chain, and whether a journal still keeps it.

Each row's hash covers the row and the hash before it, so that a change anywhere breaks the chain from there on. The
chain alone cannot tell that its end was cut off or that all of it was written anew; a checkpoint kept elsewhere can.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Protocol

from domain.canonical import canonical
from domain.errors import Invalid
from domain.facts import Fact
from domain.value import Value

GENESIS = "0" * 64
_TAG = "interlock-journal/1\n"


class Row(Protocol):
    """One entry of a journal as it is stored."""

    seq: int
    at: str
    actor: str
    release: str
    service: str
    environment: str
    token: int
    kind: str
    body: str
    previous: str
    hash: str


class Checkpoint(Value):
    """The newest row of the journal at some moment."""

    seq: int
    hash: str
    at: str


def body_of(fact: Fact) -> str:
    """Render a fact as it is stored. Raises Invalid when it could not be read back (NaN has no JSON)."""
    try:
        return canonical(fact.model_dump(mode="json", by_alias=True))
    except ValueError as error:
        raise Invalid(f"a {fact.kind} fact cannot be kept: {error}", "NaN and infinities have no JSON form") from error


def entry_hash(row: Row) -> str:
    """Hash a row: sha256 of a tag and the canonical JSON of
    [previous, seq, at, actor, release, service, environment, token, fact]; 64 hex digits.

    The body goes in byte for byte as it is stored, because it is canonical JSON already.
    """
    head = [row.previous, row.seq, row.at, row.actor, row.release, row.service, row.environment, row.token]
    return hashlib.sha256(f"{_TAG}{canonical(head)[:-1]},{row.body}]".encode()).hexdigest()


def verify(rows: Iterable[Row], checkpoint: Checkpoint | None = None) -> tuple[str, ...]:
    """Recompute the chain over all rows in the order given; return what is wrong with it, nothing if all is well."""
    problems: list[str] = []
    seq, previous, seen = 0, GENESIS, checkpoint is None or checkpoint.seq == 0
    for row in rows:
        if row.seq != seq + 1:
            problems.append(
                f"row {row.seq} stands where row {seq + 1} should be: rows were removed, added or reordered"
            )
        if row.previous != previous:
            problems.append(f"row {row.seq} does not follow the row before it")
        if entry_hash(row) != row.hash:
            problems.append(f"row {row.seq} was edited: it no longer has the hash it was written with")
        if row.kind != _kind(row.body):
            problems.append(f"row {row.seq} is filed as {row.kind!r}, which is not what its fact says")
        if checkpoint and row.seq == checkpoint.seq:
            seen = True
            if row.hash != checkpoint.hash:
                problems.append(f"row {row.seq} is not the one that the checkpoint of {checkpoint.at} saw")
        seq, previous = row.seq, row.hash
    if checkpoint and not seen:
        problems.append(f"the journal ends at row {seq}; the checkpoint of {checkpoint.at} saw row {checkpoint.seq}")
    return tuple(problems)


def _kind(body: str) -> str | None:
    try:
        return str(json.loads(body)["kind"])
    except (ValueError, KeyError, TypeError):
        return None
