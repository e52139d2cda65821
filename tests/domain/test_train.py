"""The train: who is on it, in what order, and who stays behind."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.release.artifact import Commit
from domain.release.train import Passenger, blocked_by, boarding, departure

CUTOFF = datetime(2026, 11, 21, 9, tzinfo=UTC)


def commit(sha: str, at: str) -> Commit:
    return Commit(sha=sha * 40, author="a@b", subject=f"feat: {sha}", at=at)


def passenger(service: str) -> Passenger:
    return Passenger(service=service, commit="0" * 40, subject="")


def test_a_commit_one_second_before_the_cutoff_is_in_and_one_second_after_is_out() -> None:
    late, early = commit("b", "2026-11-21T09:00:01+00:00"), commit("a", "2026-11-21T08:59:59+00:00")
    assert [p.commit for p in boarding({"shop": [late, early]}, {"shop": None}, CUTOFF)] == [early.sha]


def test_time_zones_do_not_move_the_cutoff() -> None:
    in_time = commit("a", "2026-11-21T10:59:59+02:00")
    assert len(boarding({"shop": [in_time]}, {}, CUTOFF)) == 1


def test_a_service_whose_commit_already_serves_stays_at_home() -> None:
    served = commit("a", "2026-11-20T00:00:00+00:00")
    assert boarding({"shop": [served]}, {"shop": served.sha}, CUTOFF) == []


@given(st.permutations(["a", "b", "c", "d"]))
def test_everyone_leaves_after_those_they_need(order: list[str]) -> None:
    needs = {"a": ["b", "c"], "b": ["d"], "c": ["elsewhere"]}
    names = [p.service for p in departure([passenger(name) for name in order], needs)]
    assert sorted(names) == sorted(order)
    assert all(names.index(n) < names.index(name) for name in names for n in needs.get(name, []) if n in names)


def test_a_circle_is_named() -> None:
    with pytest.raises(Invalid, match="a, b"):
        departure([passenger("a"), passenger("b"), passenger("c")], {"a": ["b"], "b": ["a"]})


def test_a_passenger_whose_need_was_dropped_does_not_board() -> None:
    assert blocked_by(passenger("web"), {"web": ["api"]}, {"api": "tests red"}) == "api"
    assert blocked_by(passenger("web"), {"web": ["api"]}, {"other": "x"}) is None
