"""Say what the statements of one script do, each from its parse tree alone: no database is asked."""

from collections.abc import Iterator, Sequence

from domain.schema.alter_table import alterations
from domain.schema.change import Change
from domain.schema.definition import DEFINITIONS
from domain.schema.grammar import Statement
from domain.schema.removal import REMOVALS
from domain.schema.rows import ROWS, hidden, nested_writes

_ANYTHING = {**DEFINITIONS, **REMOVALS, **ROWS, "alter_table_stmt": alterations}


def classify(statements: Sequence[Statement]) -> tuple[Change, ...]:
    """List every change, in order, with the line of its statement.

    What a script makes is its own until it ends: on a table that it created, and for constraints on columns that it
    added, nobody is kept waiting and no older version can fail.
    """
    fresh: set[str] = set()
    changes = []
    for number, statement in enumerate(statements, 1):
        place = {"statement": number, "line": statement.line}
        for change in _changes(statement):
            changes.append(_seen_from_outside(change, fresh).model_copy(update=place))
            if not statement.body.get("if_not_exists") and not statement.body.get("missing_ok"):
                fresh |= _made(change)
    return tuple(changes)


def _changes(statement: Statement) -> Iterator[Change]:
    reader = _ANYTHING.get(statement.node) or hidden(statement.node.removesuffix("_stmt").replace("_", " "))
    yield from nested_writes(statement.body)
    yield from reader(statement.body)


def _made(change: Change) -> set[str]:
    """Name the relation or column that a change has brought into being."""
    for word in ("create table ", "create materialized view ", "create view ", "create sequence ", "add column "):
        if change.what.startswith(word):
            return {change.what.removeprefix(word)}
    return set()


def _seen_from_outside(change: Change, fresh: set[str]) -> Change:
    """Leave out what nobody else can notice yet."""
    locks = tuple(lock for lock in change.locks if lock.relation not in fresh)
    if change.on in fresh and change.kind != "opaque":
        kind = "data" if change.kind == "data" else "expand"
        hidden_risks = {"lossy": False, "rewrites": False, "slow": False, "touches": (), "hazards": ()}
        return change.model_copy(update={"kind": kind, "locks": locks, **hidden_risks})
    own = change.columns and fresh.issuperset(change.columns)
    return change.model_copy(update={"kind": "expand" if own else change.kind, "locks": locks})
