"""Back or forward: the first way that loses nothing, and what is not known counts as bad."""

from typing import Any

import pytest

from domain.schema.remedy import NEVER_BARE, Facts, choose

PROVEN = {"proven": True}
NONE_LOST = {"proven": True, "lost_values": 0}
ARMED = {"armed": True, "written_since": 40}


@pytest.mark.parametrize(
    ("facts", "way"),
    [
        ({"tier": 0}, "old version"),
        ({"tier": 1, **PROVEN}, "old version"),
        ({"tier": 2, **PROVEN}, "old version"),
        ({"tier": 1, **ARMED}, "restore and replay"),
        ({"tier": 2, "lost_values": 0, **ARMED}, "restore and replay"),
        ({"tier": 3, **NONE_LOST}, "down scripts"),
        ({"tier": 3, "proven": True, "lost_values": 31, **ARMED}, "restore and replay"),
        ({"tier": 3, **PROVEN, **ARMED}, "restore and replay"),
        ({"tier": 3, "proven": True, "lost_values": 31}, "fix forward"),
        ({"tier": 4, **ARMED}, "restore and replay"),
        ({"tier": 4, "armed": True}, "restore and replay"),
        ({"tier": 4, "written_since": 0}, "restore and replay"),
        ({"tier": 4, "written_since": 40}, "fix forward"),
        ({"tier": 4}, "fix forward"),
        ({"tier": 4, **ARMED, "obstacles": ("log was emptied",)}, "fix forward"),
        ({"tier": 1}, "ask"),
        ({"tier": 2}, "ask"),
        ({"tier": 0, "serving": False}, "fix forward"),
        ({"tier": 0, "damaged": True}, "fix forward"),
        ({"tier": 4, **ARMED, "damaged": True}, "fix forward"),
    ],
)
def test_the_way_that_loses_nothing_is_taken(facts: dict[str, Any], way: str) -> None:
    assert choose(Facts(**facts)).way == way


def test_every_way_that_was_not_taken_says_why() -> None:
    facts = Facts(tier=3, proven=True, lost_values=31, armed=True, written_since=9, obstacles=("log was emptied",))
    remedy = choose(facts)
    assert remedy.way == "fix forward"
    assert dict(remedy.against) == {
        "old version": "it does not run on the new schema",
        "down scripts": "they would throw 31 values away",
        "restore and replay": "what was written since cannot be replayed: log was emptied",
    }
    assert NEVER_BARE in remedy.reasons


def test_the_number_of_rows_is_told() -> None:
    [why] = choose(Facts(tier=4, armed=True, written_since=40)).reasons
    assert why == "the capture has seen 40 rows since the backup, and all of it can be replayed"
