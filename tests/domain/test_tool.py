"""The one step that stands for a service's own migration tool, and what its commands must say of each other."""

import pytest
from pydantic import ValidationError

from domain.schema.migration import Applied
from domain.schema.tool import ToolSpec, met_a_lock, steps_by_tool, way_by_tool, words

TOOL = ToolSpec(up=("tool", "up to", "head"), smoke=("tool", "smoke"))


def applied(tool: ToolSpec, wanted: str, number: int = 1) -> Applied:
    [step] = steps_by_tool(tool, {"db/one": wanted}, ())
    return Applied(number=number, name=step.name, phase="expand", checksum=step.checksum, release="r1")


def test_the_same_files_are_asked_for_once_and_others_are_the_next_step() -> None:
    there = applied(TOOL, "one")
    assert steps_by_tool(TOOL, {"db/one": "one"}, [there]) == ()
    [step] = steps_by_tool(TOOL, {"db/one": "two"}, [there])
    assert (step.number, step.phase, step.by, step.down) == (2, "expand", "tool", None)
    assert steps_by_tool(TOOL, {"db/one": "one"}, [there, applied(TOOL, "two", 2)]) == ()


def test_another_command_is_another_step() -> None:
    other = TOOL.model_copy(update={"up": ("tool", "up", "--all")})
    assert steps_by_tool(other, {"db/one": "one"}, [applied(TOOL, "one")]) != ()


def test_a_line_is_taken_apart_into_the_words_that_were_declared() -> None:
    [step] = steps_by_tool(TOOL, {}, ())
    assert words(step.up) == ["tool", "up to", "head"]


def test_the_same_smoke_test_of_another_image_is_another_thing_to_prove() -> None:
    one, other = (way_by_tool(TOOL, (), digest, "sha256:new") for digest in ("sha256:a", "sha256:b"))
    assert one.old != other.old
    assert words(one.old or "") == words(other.old or "") == ["tool", "smoke"]
    assert way_by_tool(TOOL, (), None, "sha256:new").old is None


def test_a_way_down_without_a_status_to_come_from_is_refused() -> None:
    with pytest.raises(ValidationError, match="down: needs status"):
        ToolSpec(up=("up",), smoke=("smoke",), down=("down",))


@pytest.mark.parametrize(
    "said",
    [
        "django.db.utils.OperationalError: canceling statement due to lock timeout",
        "ERROR: 55P03: canceling",
        "psycopg.errors.LockNotAvailable: …",
        "error: deadlock detected",
    ],
)
def test_a_lock_that_was_not_had_shows_in_what_tools_print(said: str) -> None:
    assert met_a_lock(said)


def test_any_other_failure_is_no_lock() -> None:
    assert not met_a_lock('psycopg.errors.UndefinedTable: relation "lock" does not exist')
