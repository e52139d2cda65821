"""Approvals: what counts, what does not, and how seats are filled."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Refused
from domain.policy.approval import Approval, Gate, Statement, _seat, admit, quorum, seats_text
from domain.policy.people import People, Person

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
Sign = Callable[..., Approval]
GATE = Gate(
    release="r1", service="shop", environment="production", question="release", plan="p" * 64, digest="sha256:d",
    seats=(("tech-lead",), ("product-owner", "sre")), barred=frozenset({"dora", "dora@example.org"}),
)  # fmt: skip


def statement(approver: str, **changes: object) -> Statement:
    about = {key: getattr(GATE, key) for key in ("release", "service", "environment", "question", "plan", "digest")}
    given = {"decision": "approve", "approver": approver, "nonce": f"n-{approver}", "expires": NOW + timedelta(hours=1)}
    return Statement.model_validate({**about, **given, **changes})


def test_two_distinct_people_with_the_right_roles_open_the_gate(sign: Sign, people: People) -> None:
    one, two = sign(statement("ada")), sign(statement("linus"))
    assert not quorum([one], GATE, people, NOW).reached
    assert quorum([one, two], GATE, people, NOW).reached


def test_one_person_twice_is_one_person(sign: Sign, people: People) -> None:
    assert not quorum([sign(statement("ada")), sign(statement("ada", nonce="again"))], GATE, people, NOW).reached


def test_two_people_for_the_same_seat_leave_the_other_empty(sign: Sign, people: People) -> None:
    counted = quorum([sign(statement("grace")), sign(statement("linus"))], GATE, people, NOW)
    assert counted.missing == (("tech-lead",),)


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"plan": "q" * 64}, "this gate is about ppp"),
        ({"digest": "sha256:other"}, "it is about digest"),
        ({"environment": "staging"}, "it is about environment staging"),
        ({"question": "go on at 10 %"}, "it is about question"),
        ({"expires": NOW - timedelta(seconds=1)}, "it expired at"),
    ],
)
def test_a_statement_about_anything_else_does_not_count(
    sign: Sign, people: People, changes: dict[str, object], because: str
) -> None:
    with pytest.raises(Refused, match=because):
        admit(sign(statement("ada", **changes)), GATE, people, NOW)


def test_the_requester_cannot_approve_even_with_the_role(sign: Sign, people: People) -> None:
    with pytest.raises(Refused, match="asked for this release or wrote part of it"):
        admit(sign(statement("dora")), GATE, people, NOW)


def test_a_key_signs_only_for_its_owner(sign: Sign, people: People) -> None:
    with pytest.raises(Refused, match="does not verify"):
        admit(sign(statement("ada"), key="linus"), GATE, people, NOW)


def test_a_statement_changed_after_signing_does_not_count(sign: Sign, people: People) -> None:
    signed = sign(statement("ada"))
    forged = signed.model_copy(update={"statement": statement("ada", nonce="other")})
    with pytest.raises(Refused, match="does not verify"):
        admit(forged, GATE, people, NOW)


def test_a_signature_counts_once(sign: Sign, people: People) -> None:
    with pytest.raises(Refused, match="used before"):
        admit(sign(statement("ada")), GATE, people, NOW, spent=["n-ada"])


def test_a_rejection_closes_the_gate_whatever_others_say(sign: Sign, people: People) -> None:
    signed = [sign(statement("ada")), sign(statement("linus")), sign(statement("grace", decision="reject"))]
    counted = quorum(signed, GATE, people, NOW)
    assert counted.rejected_by == "grace"
    assert not counted.reached


def test_pasted_text_survives_lost_line_breaks(sign: Sign, people: People) -> None:
    signed = sign(statement("ada"))
    for text in (signed.text, " ".join(signed.text.split("\n"))):
        assert admit(Approval.read(text), GATE, people, NOW).name == "ada"


@pytest.mark.parametrize(
    "text", ["", "yes", "{}", "{}\n-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----"]
)
def test_other_text_is_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(Refused) as refused:
        Approval.read(text)
    assert refused.value.hint


@given(
    st.lists(st.sets(st.sampled_from("abcd"), min_size=1), max_size=5),
    st.lists(st.sets(st.sampled_from("abcd")), max_size=5),
)
def test_seating_is_as_good_as_trying_every_order(seats: list[set[str]], roles: list[set[str]]) -> None:
    people = [Person(name=f"p{i}", email="x", roles=tuple(sorted(r))) for i, r in enumerate(roles)]

    def best(index: int, left: frozenset[int]) -> int:
        if index == len(seats):
            return 0
        options = [1 + best(index + 1, left - {i}) for i in left if roles[i] & seats[index]]
        return max([best(index + 1, left), *options])

    seated = _seat([tuple(s) for s in seats], people)
    assert len(seated) == best(0, frozenset(range(len(roles))))
    assert len({p.name for p in seated.values()}) == len(seated)
    assert all(set(p.roles) & seats[i] for i, p in seated.items())


def test_seats_read_as_people_say_them() -> None:
    assert seats_text(GATE.seats) == "tech-lead + (product-owner or sre)"
