"""An invariant is one question that changes nothing; what breaks it is told, and a proof counts for these questions."""

import pytest
from pydantic import ValidationError

from domain.release.service import SchemaSpec
from domain.schema.invariant import Breach, question
from domain.schema.migration import Migration
from domain.schema.proof import kept, prove, stale, subject_of
from domain.schema.rehearsal import Rehearsal, Seen, WayBack
from domain.schema.told import markdown


@pytest.mark.parametrize(
    "text", ["select id from t where a < 0", "  select 1;\n", "with x as (select 1) table x", "values (1)"]
)
def test_one_select_is_a_question(text: str) -> None:
    assert question(text) == text.strip().rstrip(";")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "should be one SELECT"),
        ("select 1; select 2", "should be one SELECT"),
        ("delete from t", "should be one SELECT"),
        ("select * into t from u", "should be one SELECT"),
        ("select * from t for update", "should be one SELECT"),
        ("select 1) q; drop table t; select (1", "line 1: syntax error"),
        ("select 1; -- all of them", "without a semicolon or comment"),
    ],
)
def test_anything_else_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        question(text)


def test_every_wrong_invariant_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        SchemaSpec.model_validate({"invariants": {"one": "slect", "two": "drop table t", "three": "select 3"}})
    assert [error["loc"][-1] for error in caught.value.errors()] == ["one", "two"]


def test_a_breach_says_how_many_rows_and_the_first_of_them() -> None:
    assert Breach(name="paid", rows=1, first=("(7)",)).says == "invariant paid is broken by 1 row: (7)"
    many = Breach(name="paid", rows=12, first=("(7)", "(8)", "(9)"))
    assert many.says == "invariant paid is broken by 12 rows: (7), (8), (9), …"
    assert Breach(name="paid", error="no such table").says == "invariant paid could not be asked: no such table"


STEP = Migration(number=1, name="x", up="select 1")


def test_a_proof_counts_for_the_invariants_that_were_asked() -> None:
    asked = WayBack(steps=(STEP,), invariants={"paid": "select 1"})
    proof = prove(asked, Rehearsal(server="18.6", seen={}), subject_of(asked, "f", "18.6"), at=0.0)
    assert stale(proof, subject_of(asked, "f", "18.6"), now=1.0) is None
    for other in ({}, {"paid": "select 2"}, {"unpaid": "select 1"}):
        now = subject_of(asked.model_copy(update={"invariants": other}), "f", "18.6")
        assert stale(proof, now, now=1.0) == "it was made for another invariant"


def test_constraints_that_nobody_validated_are_told_with_the_proof() -> None:
    way = WayBack(steps=(STEP,))
    seen = Seen(fingerprint="f", tables={}, unvalidated=("public.orders: positive",))
    proof = prove(way, Rehearsal(server="18.6", seen={"up": seen}), subject_of(way, "f", "18.6"), at=0.0)
    assert "- Not validated, so that old rows may break it: public.orders: positive" in markdown(
        "dev", kept(proof, "key")
    )
