"""Which way out of a bad version loses the least: back, or forward with a fix?"""

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from domain.value import Value

Way = Literal["old version", "down scripts", "restore and replay", "fix forward", "ask"]

NEVER_BARE = "a bare restore is never chosen: it is asked for by hand, with the number of rows that it loses"


class Facts(Value):
    """What is known when a version has to go. None: nobody knows."""

    tier: int = Field(description="0: no step; 1: the old version runs on the new schema; 2: the schema goes back, too;"
                      " 3: what is gone was put aside; 4: it is lost")  # fmt: skip
    proven: bool = Field(default=False, description="the way back was walked on a copy, and held")
    serving: bool = Field(default=True, description="a version was there before, and can be started again")
    lost_values: int | None = Field(default=None, description="that the down scripts would throw away")
    armed: bool = Field(default=False, description="a capture was armed before the backup, and misses nothing")
    obstacles: tuple[str, ...] = Field(default=(), description="what keeps the writes since from being replayed")
    written_since: int | None = Field(default=None, description="rows written or deleted since the backup")
    damaged: bool = Field(default=False, description="the new version has written what is wrong: its rows must go, too")


class Remedy(Value):
    """The way that is chosen, why, and why not the others."""

    way: Way
    reasons: tuple[str, ...]
    against: dict[Way, str] = {}


def choose(facts: Facts) -> Remedy:
    """Choose the first way that loses nothing, from the quickest to the slowest; where there is none, people are asked.

    What is not known counts as bad. Data that the new version damaged comes along on every way back that loses nothing,
    so that none of them mends it: the fix goes forward.
    """
    against: dict[Way, str] = {}
    if not facts.serving:
        return Remedy(way="fix forward", reasons=("there is no version before this one",))
    if facts.damaged:
        why = "the rows that it wrote are wrong, and every way back that loses none keeps them"
        return Remedy(way="fix forward", reasons=(why, NEVER_BARE))
    for way, find in _WAYS.items():
        good, why = find(facts)
        if good:
            return Remedy(way=way, reasons=(why,), against=against)
        against[way] = why
    if facts.tier >= 3 and facts.written_since != 0:
        return Remedy(way="fix forward", reasons=("every way back would lose something", NEVER_BARE), against=against)
    return Remedy(way="ask", reasons=("nothing is known to be safe", NEVER_BARE), against=against)


def _old_version(facts: Facts) -> tuple[bool, str]:
    if facts.tier == 0:
        return True, "the schema was not changed"
    if facts.tier <= 2 and facts.proven:
        return True, "it was seen to run on the new schema, which stays"
    return False, "nobody has seen it run on the new schema" if facts.tier <= 2 else "it does not run on the new schema"


def _down_scripts(facts: Facts) -> tuple[bool, str]:
    if facts.tier not in (2, 3):
        return False, "there are none that bring everything back"
    if not facts.proven:
        return False, "nobody has walked them"
    if facts.lost_values is None:
        return False, "nobody can tell what they throw away"
    if facts.lost_values:
        return False, f"they would throw {facts.lost_values} values away"
    return True, "they were walked on a copy, and throw nothing away"


def _replay(facts: Facts) -> tuple[bool, str]:
    if facts.written_since == 0:
        return True, "nothing was written since the backup"
    if not facts.armed:
        return False, "no capture was armed before the backup: what was written since would be lost"
    if facts.obstacles:
        return False, "what was written since cannot be replayed: " + "; ".join(facts.obstacles)
    return True, f"the capture has seen {_rows(facts.written_since)} since the backup, and all of it can be replayed"


def _rows(count: int | None) -> str:
    return "what was written" if count is None else f"{count} rows"


_WAYS: dict[Way, Callable[[Facts], tuple[bool, str]]] = {
    "old version": _old_version,
    "down scripts": _down_scripts,
    "restore and replay": _replay,
}
