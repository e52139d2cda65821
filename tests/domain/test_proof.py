"""A proof counts for exactly what was rehearsed, and not for ever; what SQLite cannot show is judged here."""

import pytest

from domain.schema.backup import TableDigest
from domain.schema.migration import Migration
from domain.schema.proof import FRESH, Proof, prove, stale, subject_of
from domain.schema.rehearsal import Moment, Rehearsal, Seen, WayBack

STEP = Migration(number=7, name="add_colour", up="alter table a add b text", down="alter table a drop b")
WAY = WayBack(steps=(STEP,), old="select 1", new="select 2")
ROWS = {"public.a": TableDigest(rows=3, sum="1", xor="1")}


def seen(fingerprint: str, **more: object) -> Seen:
    return Seen.model_validate({"fingerprint": fingerprint, "tables": ROWS, **more})


def rehearsal(**changed: Seen) -> Rehearsal:
    moments: dict[Moment, Seen] = {
        "old version before": seen("old"), "up": seen("new"), "down": seen("old"),
        "up again": seen("new"), "writes": seen("new"), "down after writes": seen("old"),
        "up after writes": seen("new"),
    }  # fmt: skip
    named = {name.replace("_", " "): value for name, value in changed.items()}
    return Rehearsal(server="18.6", seen={**moments, **named})


def proof(**changed: Seen) -> Proof:
    return prove(WAY, rehearsal(**changed), subject_of(WAY, "f", "18.6"), at=1000.0)


def told(proof: Proof) -> list[str]:
    return [problem.says for problem in proof.problems]


def test_when_all_is_as_it_must_be_the_proof_holds() -> None:
    assert told(proof()) == []


@pytest.mark.parametrize("moment", ["down", "up_again", "down_after_writes", "up_after_writes"])
def test_another_schema_is_told_wherever_it_shows(moment: str) -> None:
    assert any("another schema" in said for said in told(proof(**{moment: seen("odd")})))


def test_a_sequence_that_fell_back_gives_out_numbers_twice_and_one_that_went_on_does_not() -> None:
    begun = seen("old", sequences={"public.s": 40})
    fallen = proof(old_version_before=begun, down=seen("old", sequences={"public.s": 0}))
    assert told(fallen) == ["sequence public.s fell back from 40 to 0: it gives out numbers twice"]
    assert told(proof(old_version_before=begun, down=seen("old", sequences={"public.s": 44}))) == []


def test_a_column_that_the_way_up_rewrites_is_not_held_against_what_it_was_there() -> None:
    def with_note(fingerprint: str, total: str) -> Seen:
        return seen(fingerprint, columns={"public.a": {"note": TableDigest(rows=3, sum=total, xor=total)}})

    lowered = {"down": with_note("old", "1"), "up_again": with_note("new", "2")}
    written = {"writes": with_note("new", "3"), "down_after_writes": with_note("old", "4")}
    assert told(proof(**lowered, **written)) == []
    steady = {"down": with_note("old", "1"), "up_again": with_note("new", "1")}
    assert len(told(proof(**steady, **written))) == 1


@pytest.mark.parametrize(
    ("way", "fingerprint", "server", "why"),
    [
        (WAY, "other", "18.6", "schema"),
        (WAY, "f", "17.2", "major version"),
        (WAY.model_copy(update={"old": "select 3"}), "f", "18.6", "old version"),
        (WAY.model_copy(update={"new": None}), "f", "18.6", "new version"),
        (WAY.model_copy(update={"steps": ()}), "f", "18.6", "migration"),
        (WayBack(steps=(STEP.model_copy(update={"down": "drop"}),), old="select 1", new="select 2"), "f", "18.6",
         "migration"),
    ],
)  # fmt: skip
def test_a_proof_counts_for_nothing_else(way: WayBack, fingerprint: str, server: str, why: str) -> None:
    said = stale(proof(), subject_of(way, fingerprint, server), now=1001.0)
    assert said is not None
    assert f"it was made for another {why}" in said


def test_a_minor_version_of_the_server_changes_nothing() -> None:
    assert stale(proof(), subject_of(WAY, "f", "18.9"), now=1001.0) is None


def test_a_proof_grows_old() -> None:
    assert stale(proof(), subject_of(WAY, "f", "18.6"), now=1000.0 + FRESH) is None
    assert stale(proof(), subject_of(WAY, "f", "18.6"), now=1001.0 + FRESH) == "it is 7.0 days old, 7 are allowed"


def test_a_byte_changed_anywhere_is_another_proof() -> None:
    assert proof().hash == proof().hash
    assert proof().hash != proof(writes=seen("new", sequences={"s": 1})).hash
