"""Pseudonyms keep joins and what is unique; a policy that leaves anything open is refused, with all of it named."""

import hashlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.data.check import injective, problems
from domain.data.needle import Needles, variants
from domain.data.policy import Policy
from domain.data.pseudonym import check_digit, days, pads, pseudonym
from domain.data.rule import Card, Email, Number, PersonName, Phone, Shift, Text, Uuid
from domain.data.shape import Column, Family, ForeignKey, Shape, Table
from domain.data.synthetic import rows

KEY, OTHER = "k" * 32, "o" * 32
TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))
KINDS = st.sampled_from([Email(), Text(), Uuid(), Number(), PersonName(), Phone(), Card()])


def column(name: str, family: Family = "text", base: str = "text", **more: Any) -> Column:
    return Column(name=name, type=more.pop("type", base), base=base, family=family, **more)


def shape_of(*columns: Column, **more: Any) -> Shape:
    return Shape(tables={"public.t": Table(name="public.t", columns=columns, **more)})


def policy_of(columns: dict[str, Any], **more: Any) -> Policy:
    return Policy.model_validate({"key": "secret://env/K", "tables": {"t": {"columns": columns} | more}})


@given(KINDS, TEXTS, TEXTS)
def test_the_same_value_gets_the_same_pseudonym_and_another_one_another(rule: Any, one: str, other: str) -> None:
    made = pseudonym(rule, KEY, one, "int8")
    assert made == pseudonym(rule, KEY, one, "int8")
    if injective(rule, column("c", base="int8")) and one != other:
        assert made != pseudonym(rule, KEY, other, "int8")


@given(st.sets(TEXTS, min_size=2), st.sampled_from([Email(), Text(), Uuid(), Number()]))
def test_what_was_unique_stays_unique(values: set[str], rule: Any) -> None:
    assert len({pseudonym(rule, KEY, value, "int8") for value in values}) == len(values)


@given(KINDS, TEXTS)
def test_another_key_makes_another_pseudonym(rule: Any, value: str) -> None:
    if injective(rule, column("c", base="int8")):
        assert pseudonym(rule, KEY, value, "int8") != pseudonym(rule, OTHER, value, "int8")


@given(TEXTS)
def test_domains_keep_apart_what_must_not_be_joined(value: str) -> None:
    assert pseudonym(Text(), KEY, value) != pseudonym(Text(domain="mail"), KEY, value)


@given(TEXTS)
def test_formats_are_valid_and_belong_to_nobody(value: str) -> None:
    assert re.fullmatch(r"u[0-9a-f]{16}@example\.com", pseudonym(Email(), KEY, value))
    assert re.fullmatch(r"\+999\d{12}", pseudonym(Phone(), KEY, value))
    for card, passes in ((Card(), False), (Card(luhn="passes"), True)):
        digits = pseudonym(card, KEY, value)
        assert re.fullmatch(r"999999\d{10}", digits)
        assert (check_digit(digits[:-1]) == int(digits[-1])) is passes
    assert -30 <= days(Shift(), KEY, value) <= 30


def test_luhn_agrees_with_a_published_test_number() -> None:
    assert check_digit("411111111111111") == 1
    assert check_digit("7992739871") == 3


@given(st.text(min_size=1, max_size=200), st.binary(max_size=200))
def test_two_plain_hashes_with_the_pads_are_one_hmac(key: str, message: bytes) -> None:
    import hmac  # noqa: PLC0415  # the reference that this test compares with

    outer, inner = pads(key)
    twice = hashlib.sha256(outer + hashlib.sha256(inner + message).digest()).digest()
    assert twice == hmac.digest(key.encode(), message, "sha256")


@given(st.sets(st.sampled_from("abcdefgh"), min_size=1), st.sets(st.sampled_from("abcdefgh")))
def test_every_column_without_a_rule_is_named_at_once(there: set[str], classified: set[str]) -> None:
    said = problems(policy_of(dict.fromkeys(classified, "keep")), shape_of(*map(column, sorted(there))))
    assert {line for line in said if "not classified" in line} == {
        f"public.t.{name}: not classified" for name in there - classified
    }
    assert len(said) == len(there ^ classified)


def test_a_table_without_a_word_is_refused_with_its_columns() -> None:
    policy = Policy.model_validate({"key": "secret://env/K", "tables": {}})
    [said] = problems(policy, shape_of(column("a"), column("b", computed=True)))
    assert said == "public.t: not classified; say `rows: none`, or a rule for each of: a"
    assert problems(policy_of({}, rows="none"), shape_of(column("a"))) == ()


WRONG = [
    (column("c", limit=20), "email", "email is up to 29 characters long, and text holds 20; fewer bits are shorter"),
    (column("c", limit=15), "card", "card is up to 16 characters"),
    (column("c", nullable=False), None, "null does not fit: the column is NOT NULL"),
    (column("c", "integer", "int4"), "email", "email does not fit int4; it is for text"),
    (column("c", "numeric", "numeric"), "number", "number needs at_least and at_most"),
    (column("c"), {"kind": "shift"}, "shift does not fit text; it is for date"),
    (column("c", "date", "date"), {"kind": "shift", "by": "d"}, "has no column d"),
    (column("c", "enum", "e", labels=("x",)), {"kind": "choice", "values": ["x", "y"]}, "choice: y: not among"),
    (column("c", computed=True), "keep", "computed from other columns; leave it out"),
]


@pytest.mark.parametrize(("there", "rule", "says"), WRONG, ids=[says for _, _, says in WRONG])
def test_a_rule_that_does_not_fit_its_column_is_refused(there: Column, rule: Any, says: str) -> None:
    [said] = problems(policy_of({"c": rule}), shape_of(there))
    assert said.startswith("public.t.c: ")
    assert says in said


def test_a_card_may_be_a_bigint_and_a_citext_an_address() -> None:
    shape = shape_of(column("c", "integer", "int8"), column("d", base="citext"))
    assert problems(policy_of({"c": "card", "d": "email"}), shape) == ()


@pytest.mark.parametrize(
    "rule", ["name", "phone", "card", {"kind": "email", "bits": 32}, {"kind": "constant", "value": "x"}]
)
def test_a_unique_column_needs_64_bits(rule: Any) -> None:
    shape = shape_of(column("c", nullable=False), uniques=(("c",),))
    [said] = problems(policy_of({"c": rule}), shape)
    assert "public.t: (c) is unique, and c (" in said
    assert problems(policy_of({"c": "text"}), shape) == ()


def test_an_integer_has_no_64_bits_and_a_unique_part_is_enough() -> None:
    small, big = column("a", "integer", "int4"), column("b", "integer", "int8")
    shape = shape_of(small, big, uniques=(("a",), ("b",)))
    [said] = problems(policy_of({"a": "number", "b": "number"}), shape)
    assert "(a) is unique" in said
    both = shape_of(small, big, uniques=(("b",), ("a", "b")))
    assert problems(policy_of({"a": "number", "b": "keep"}), both) == ()


def referring(parent: Any, child: Any, here: str = "int4", **more: Any) -> tuple[str, ...]:
    key = ForeignKey(name="k", table="public.c", columns=("p",), target="public.p", target_columns=("id",))
    there = column("id", "integer", "int8", nullable=False)
    tables = {
        "public.p": Table(name="public.p", columns=(there,)),
        "public.c": Table(name="public.c", columns=(column("p", "integer", here),), keys=(key,)),
    }
    parts = {"p": {"columns": {"id": parent}} | more, "c": {"columns": {"p": child}}}
    return problems(Policy.model_validate({"key": "secret://env/K", "tables": parts}), Shape(tables=tables))


def test_both_ends_of_a_reference_need_the_same_rule() -> None:
    same = "public.c.p: refers to public.p.id, so both need the same rule and domain"
    assert referring("keep", "keep") == ()
    assert referring("keep", None) == ()
    assert referring("number", "number", here="int8") == ()
    assert referring("number", "number", here="int4") == (same,)
    assert referring("keep", "number", here="int8") == (same,)
    assert referring("number", {"kind": "number", "domain": "x"}, here="int8") == (same,)
    assert "public.p has no rows in the copy" in referring("keep", "keep", rows="none")[0]
    assert "cannot refer to synthetic ones" in referring("keep", "keep", synthetic=3)[0]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"rows": "all", "where": "x"}, "rows and where or follow exclude each other"),
        ({"synthetic": 3, "rows": "none"}, "exclude each other"),
        ({"colums": {}}, "Extra inputs"),
        ({"columns": {"a": "encrypt"}}, "union_tag_invalid"),
        ({"columns": {"a": {"kind": "email", "at": "gmail.com"}}}, "string_pattern_mismatch"),
        ({"columns": {"a": {"kind": "number", "at_least": 3}}}, "give both"),
    ],
)
def test_a_malformed_policy_is_not_read(table: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Policy.model_validate({"key": "secret://env/K", "tables": {"t": table}})


def test_the_key_itself_has_no_place_in_a_policy() -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate({"key": KEY, "tables": {}})


def test_synthetic_rows_are_the_same_for_the_same_seed() -> None:
    key = ForeignKey(name="k", table="public.t", columns=("p",), target="public.p", target_columns=("id",))
    table = Table(
        name="public.t",
        columns=(column("id", "integer", "int4"), column("word", limit=5), column("p", "integer", "int4")),
        uniques=(("id",),),
        keys=(key,),
    )
    policy = policy_of({}, synthetic=9)
    made = list(rows(policy, table, {"k": [("7",), ("8",)]}))
    assert made == list(rows(policy, table, {"k": [("7",), ("8",)]}))
    assert [row[0] for row in made] == [str(n) for n in range(1, 10)]
    assert {row[2] for row in made} == {"7", "8"}
    assert made != list(rows(policy.model_copy(update={"seed": 2}), table, {"k": [("7",), ("8",)]}))


@given(
    st.lists(TEXTS, max_size=20),
    st.lists(TEXTS.filter(lambda t: len(t.encode()) >= 12 and not t.isdigit()), max_size=5),
)
def test_needles_are_found_exactly_where_they_are(hay: list[str], values: list[str]) -> None:
    text = "\n".join([*hay, *values, *hay]).encode()
    needles = Needles({value.encode(): value for value in values})
    wanted = {
        (at, value.lower())
        for value in {value.encode().lower() for value in values}
        for at in range(len(text))
        if text.lower().startswith(value, at)
    }
    assert {(at, origin.encode().lower()) for at, origin in needles.found(text)} == wanted


def test_short_values_count_as_whole_words_only() -> None:
    needles = Needles({b"marion": "name", b"123456789012": "card"})
    assert [at for at, _ in needles.found(b"marionette, Marion; 91234567890123 (123456789012)")] == [12, 36]
    assert variants("4111-1111 11111111") >= {"4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111"}
    assert variants("Ada Lovelace") == {"Ada Lovelace"}
