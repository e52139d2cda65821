"""Keyed steps: done once, found again, never acted out under a lost lease."""

from collections.abc import Callable

import pytest

from domain.errors import Conflict, Rejected, Unavailable
from domain.facts import Done, Failed, Intended
from domain.value import Value
from tasks.step import PAUSES, Warrant, carry_out, look, note, step_key, worth_retrying


class Painted(Value):
    colour: str


class Wall:
    """A world with one wall."""

    def __init__(self) -> None:
        self.colour = ""
        self.strokes = 0

    def paint(self, colour: str) -> None:
        self.strokes += 1
        self.colour = colour


def paint(warrant: Warrant, colour: str, wall: Wall) -> Painted:
    wall.paint(colour)
    return Painted(colour=colour)


def painted(warrant: Warrant, colour: str, wall: Wall) -> Painted | None:
    return Painted(colour=colour) if wall.colour == colour else None


def do(warrant: Warrant, colour: str, wall: Wall, act: Callable[..., Painted] = paint) -> Painted:
    return carry_out(Painted, act, painted, warrant, colour, wall)


def kinds(warrant: Warrant) -> list[str]:
    return [e.fact.kind for e in warrant.journal.entries(release="r1") if e.fact.kind in ("intended", "done", "failed")]


def test_the_intent_is_written_before_the_effect_and_the_outcome_after(warrant: Warrant) -> None:
    wall, seen = Wall(), []

    def paint(warrant: Warrant, colour: str, wall: Wall) -> Painted:
        seen.extend(kinds(warrant))
        return Painted(colour=colour)

    do(warrant, "red", wall, paint)
    assert seen == ["intended"]
    assert kinds(warrant) == ["intended", "done"]


def test_a_finished_step_returns_its_outcome_and_touches_nothing(warrant: Warrant) -> None:
    wall = Wall()
    assert do(warrant, "red", wall) == do(warrant, "red", wall)
    assert wall.strokes == 1
    assert kinds(warrant) == ["intended", "done"]


def test_other_inputs_are_another_step(warrant: Warrant) -> None:
    # Prefect's default cache turned shift(0), shift(25), shift(0) into two calls: the rollback silently did not happen.
    wall = Wall()
    for colour in ("red", "blue", "green"):
        do(warrant, colour, wall)
    assert wall.strokes == 3


def test_an_intent_without_an_outcome_looks_at_the_world_first(warrant: Warrant) -> None:
    wall = Wall()
    warrant.record(Intended(key=step_key("production", "paint", ("red", wall)), verb="paint"))
    wall.colour = "red"  # the effect happened, then the process died
    do(warrant, "red", wall)
    assert wall.strokes == 0
    done = [e.fact for e in warrant.journal.entries(release="r1") if isinstance(e.fact, Done)]
    assert [fact.observed for fact in done] == [True]


def test_an_intent_without_an_effect_is_carried_out(warrant: Warrant) -> None:
    wall = Wall()
    warrant.record(Intended(key=step_key("production", "paint", ("red", wall)), verb="paint"))
    do(warrant, "red", wall)
    assert wall.strokes == 1


def test_without_the_lease_nothing_is_touched(warrant: Warrant) -> None:
    wall = Wall()
    warrant.leases.take("shop", "production", "somebody else", "takeover", 60, force=True)
    with pytest.raises(Conflict):
        do(warrant, "red", wall)
    assert wall.strokes == 0


def test_a_zombie_that_wakes_up_after_its_effect_cannot_record_it(warrant: Warrant) -> None:
    wall = Wall()

    def paint(warrant: Warrant, colour: str, wall: Wall) -> Painted:
        warrant.leases.take("shop", "production", "somebody else", "takeover", 60, force=True)
        return Painted(colour=colour)

    with pytest.raises(Conflict):
        do(warrant, "red", wall, paint)
    assert kinds(warrant) == ["intended"]


def test_a_failure_is_a_fact_with_its_reason(warrant: Warrant) -> None:
    def paint(warrant: Warrant, colour: str, wall: Wall) -> Painted:
        raise Rejected("the paint is dry", "buy paint")

    with pytest.raises(Rejected):
        do(warrant, "red", Wall(), paint)
    failed = [e.fact for e in warrant.journal.entries(release="r1") if isinstance(e.fact, Failed)]
    assert [(fact.verb, fact.error, fact.message) for fact in failed] == [("paint", "Rejected", "the paint is dry")]


def test_only_what_did_not_answer_is_tried_again() -> None:
    class State:
        def __init__(self, error: Exception) -> None:
            self._error = error

        def result(self, raise_on_failure: bool = True) -> Exception:
            return self._error

    answers = [worth_retrying(None, None, State(error)) for error in (Unavailable("x"), Rejected("x"), ValueError())]  # type: ignore[arg-type]  # only the state is read
    assert answers == [True, False, False]


def test_bookkeeping_waits_for_a_ledger_that_does_not_answer_and_for_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tasks.step.sleep", lambda seconds: None)
    tries: list[type[Exception]] = [Unavailable, Unavailable, Conflict]

    @note
    def write() -> None:
        raise tries.pop(0)("no")

    with pytest.raises(Conflict):
        write()
    assert tries == []


def test_a_verb_outside_a_run_is_tried_again_as_prefect_would(monkeypatch: pytest.MonkeyPatch) -> None:
    rested: list[float] = []
    monkeypatch.setattr("tasks.step.sleep", rested.append)

    @look
    def ask() -> int:
        if len(rested) < len(PAUSES):
            raise Unavailable("not yet")
        return len(rested)

    assert ask() == len(PAUSES)
    assert rested == list(PAUSES)


def test_adapters_are_not_inputs_of_a_step() -> None:
    assert step_key("production", "paint", ("red", Wall())) == step_key("production", "paint", ("red", Wall()))
    assert step_key("production", "paint", ("red",)) != step_key("staging", "paint", ("red",))
