"""What a capture has seen decides what can be replayed; a table that nobody wrote to may have changed in any way."""

from typing import Any

import pytest

from domain.schema.capture import Capture, Layout, Watch, left_behind, obstacles, replayed, uncapturable

OLD = Layout(key=("id",), columns={"id": "integer", "note": "text"})
WATCH = Watch(key=("id",), whole=True, changed=3)


def seen(watch: Watch = WATCH, **change: Any) -> Capture:
    return Capture(tables={"t": watch.model_copy(update=change)})


def test_what_was_watched_from_the_start_can_be_replayed() -> None:
    assert obstacles({"t": OLD}, {"t": OLD, "new": OLD}, seen()) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"whole": False}, "t: a trigger of the capture is missing or switched off"),
        ({"in_time": False}, "t was armed after the backup: what was written before that is not known"),
        ({"truncated": True}, "t was emptied by TRUNCATE since the backup, which names no rows"),
        ({"key": ("note",)}, "t has another primary key than at the time of the backup"),
    ],
)
def test_a_capture_that_misses_something_is_no_capture(change: dict[str, Any], said: str) -> None:
    assert obstacles({"t": OLD}, {"t": OLD}, seen(**change)) == (said,)


def test_a_table_that_is_not_watched() -> None:
    assert obstacles({"t": OLD}, {"t": OLD}, Capture()) == ("t is not watched: nobody knows what was written to it",)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"id": "integer"}, "t.note is gone from the living database: rows written since have no value for it"),
        ({"id": "integer", "note": "jsonb"}, "t.note was text and is jsonb: what it means may have changed"),
    ],
)
def test_a_column_that_means_something_else_matters_once_somebody_wrote(columns: dict[str, str], said: str) -> None:
    living = Layout(key=("id",), columns=columns)
    assert obstacles({"t": OLD}, {"t": living}, seen()) == (said,)
    assert obstacles({"t": OLD}, {"t": living}, seen(changed=0)) == ()


def test_a_table_that_is_gone_matters_once_somebody_wrote() -> None:
    [said] = obstacles({"t": OLD}, {}, seen())
    assert said.startswith("t is gone from the living database")
    assert obstacles({"t": OLD}, {}, seen(changed=0)) == ()


def test_everything_is_told_at_once() -> None:
    keyless = OLD.model_copy(update={"key": ()})
    tables = {"b": keyless, "a": keyless, "t": OLD}
    assert [said.split()[0] for said in obstacles(tables, tables, seen(truncated=True))] == ["a", "b", "t"]
    assert [said.split()[0] for said in uncapturable(tables)] == ["a", "b"]


def test_columns_in_common_have_the_same_type() -> None:
    living = Layout(key=("id",), columns={"more": "text", "note": "jsonb", "id": "integer"})
    assert replayed(OLD, living) == ("id",)


def test_what_only_the_new_schema_has_stays_behind() -> None:
    living = Layout(key=("id",), columns={"id": "integer", "note": "text", "more": "text"})
    assert left_behind({"t": OLD}, {"t": living, "new": OLD}) == ("new", "t.more")


def test_it_is_armed_when_no_write_escapes_it() -> None:
    assert seen().armed
    assert not seen(whole=False).armed
    assert not Capture(tables={"t": WATCH}, unwatched=("new",)).armed
    assert not Capture().armed
