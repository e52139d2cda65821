"""Which rows a subset holds, as steps that any store of rows can carry out.

The chosen rows are the least set that holds what `where` picks and, wherever a table follows another, the rows that
refer to chosen rows of it. The copy is the least set that holds the chosen rows and every row that one of its rows
refers to. So no reference points at nothing, and a row that came along only because it is needed brings nobody else:
one customer's order does not drag in all orders of the product that was bought.
"""

from collections.abc import Iterable, Mapping

from domain.data.policy import Policy
from domain.data.rule import Null
from domain.data.shape import ForeignKey, Shape
from domain.value import Value


class Pick(Value):
    """Choose the rows of a table for which an SQL predicate is true."""

    table: str
    where: str


class Bring(Value):
    """Add rows by a foreign key: up, those that rows refer to; down, those that refer to rows."""

    key: ForeignKey
    up: bool

    @property
    def source(self) -> str:
        """The table whose rows are there already."""
        return self.key.table if self.up else self.key.target

    @property
    def adds(self) -> str:
        """The table that gets rows."""
        return self.key.target if self.up else self.key.table


class Round(Value):
    """Steps in any order; `again` until nothing is added, where tables refer to each other in a circle."""

    steps: tuple[Bring, ...]
    again: bool


class Plan(Value):
    """Picks first, then each round; `partial` tables hold what was picked and added, `whole` ones every row."""

    picks: tuple[Pick, ...] = ()
    rounds: tuple[Round, ...] = ()
    whole: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    circles: tuple[tuple[str, ...], ...] = ()
    """Tables that refer to each other or to themselves, as people should know."""


def plan(policy: Policy, shape: Shape) -> Plan:
    """Plan the subset of a policy that fits the shape."""
    takes = {name: policy.table(name).takes for name in sorted(shape.tables)}
    whole = tuple(name for name, take in takes.items() if take == "all")
    partial = tuple(name for name, take in takes.items() if take in ("some", "needed"))
    live = [key for key in shape.references() if policy.table(key.table).copied and not severed(policy, key)]
    follow = [key for key in live if key.target in policy.followed(key.table) and key.table in partial]
    down = [Bring(key=key, up=False) for key in follow]
    up = [Bring(key=key, up=True) for key in live if key.target in partial]
    picks = ((name, policy.table(name).where) for name in partial)
    return Plan(
        picks=tuple(Pick(table=name, where=where) for name, where in picks if where),
        rounds=(*_rounds(down), *_rounds(up)),
        whole=whole,
        partial=partial,
        circles=circles(live),
    )


def severed(policy: Policy, key: ForeignKey) -> bool:
    """Tell whether the copy has NULL in a column of the key, so that it refers to nothing."""
    return any(isinstance(policy.rule(key.table, column), Null) for column in key.columns)


def circles(keys: Iterable[ForeignKey]) -> tuple[tuple[str, ...], ...]:
    """List the groups of tables that refer to each other, and each table that refers to itself."""
    ways = _ways([(key.table, key.target) for key in keys])
    return tuple(sorted({_circle(name, ways) for name in ways if name in ways[name]}))


def _rounds(steps: list[Bring]) -> tuple[Round, ...]:
    """Put what adds to a table before what reads it; steps within a circle are one round."""
    ways = _ways([(step.source, step.adds) for step in steps])
    groups = {name: _circle(name, ways) if name in ways[name] else (name,) for name in ways}
    # Whoever reaches another table, and is not reached back, reaches more tables than that one does; itself included,
    # or a table before a circle would tie with it.
    ordered = sorted(set(groups.values()), key=lambda group: (-len(ways[group[0]] | {group[0]}), group))
    found = (
        (tuple(step for step in steps if step.adds in group), any(group[0] in ways[name] for name in group))
        for group in ordered
    )
    return tuple(Round(steps=into, again=again) for into, again in found if into)


def _circle(name: str, ways: Mapping[str, set[str]]) -> tuple[str, ...]:
    return tuple(sorted(other for other in ways[name] if name in ways[other]))


def _ways(edges: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Say for every name which names it leads to, over any number of edges."""
    near: dict[str, set[str]] = {}
    for begin, end in edges:
        near.setdefault(begin, set()).add(end)
        near.setdefault(end, set())
    reached = {}
    for name, first in near.items():
        seen, coming = set(first), list(first)
        while coming:
            fresh = near[coming.pop()] - seen
            seen |= fresh
            coming += fresh
        reached[name] = seen
    return reached
