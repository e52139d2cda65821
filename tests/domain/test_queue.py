"""The queue before an environment: first come, first served; whoever takes another's place leaves traffic alone."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts import (
    Entered,
    Entry,
    Fact,
    Intended,
    LeaseReturned,
    LeaseTaken,
    Opened,
    Phase,
    Queued,
    Superseded,
)
from domain.release.explain import sentence
from domain.release.plan import Request
from domain.release.queue import KINDS, TRAFFIC, ahead, may_enter, may_supersede, superseded_by, waiting
from domain.release.state import NEXT, OVER, insist_legal

RELEASES = ("shop-1", "shop-2", "shop-3", "shop-4")
HERE, ELSEWHERE = "production", "staging"
QUEUED = Queued(behind="shop-0", reason="releasing 1.0.0")
TAKEN = LeaseTaken(owner="shop", reason="r")
SHIFT, DEPLOY = Intended(key="k", verb="shift"), Intended(key="k", verb="deploy")
OPENED = Opened(request=Request(service="shop", ref="main", environments=(HERE,), requester="dora"), run="run")


def journal(*facts: tuple[str, Fact] | tuple[str, Fact, str]) -> list[Entry]:
    """Write (release, fact) or (release, fact, environment) down in order; here, where none is named."""
    return [
        Entry(
            seq=seq, at="2026-11-21T09:00:00.000Z", actor="dora", release=release, service="shop",
            environment=where[0] if where else HERE, fact=fact, previous="", hash="",
        )
        for seq, (release, fact, *where) in enumerate(facts, start=1)
    ]  # fmt: skip


facts = st.sampled_from(
    [QUEUED, QUEUED, TAKEN, LeaseReturned(), SHIFT, DEPLOY, Superseded(by="shop-9"), OPENED]
    + [Entered(phase=phase) for phase in ("built", "settled", "aborted", "released")]
)
histories = st.lists(st.tuples(st.sampled_from(RELEASES), facts, st.sampled_from([HERE, HERE, ELSEWHERE])), max_size=40)


def waits_since(entries: Sequence[Entry], release: str) -> int | None:
    """Say it the other way round, one release at a time: the seq at which its wait began; None: it does not wait."""
    own = [entry for entry in entries if entry.release == release]
    here = [entry for entry in own if entry.environment == HERE]
    traffic = next((e.seq for e in here if isinstance(e.fact, Intended) and e.fact.verb in TRAFFIC), len(entries) + 1)
    if any(isinstance(e.fact, Superseded) and e.seq < traffic for e in here):
        return None
    if any(isinstance(e.fact, Entered) and e.fact.phase in OVER for e in own):
        return None
    last_taken = max((e.seq for e in here if isinstance(e.fact, LeaseTaken)), default=0)
    return next((e.seq for e in here if isinstance(e.fact, Queued) and e.seq > last_taken), None)


@given(histories)
def test_the_order_is_that_of_the_first_call_that_still_counts(history: list[tuple[str, Fact, str]]) -> None:
    entries = journal(*history)
    since = {release: seq for release in RELEASES if (seq := waits_since(entries, release)) is not None}
    assert waiting(entries, HERE) == tuple(sorted(since, key=lambda release: since[release]))


@given(histories, st.sampled_from(RELEASES))
def test_where_somebody_waits_exactly_one_may_enter(history: list[tuple[str, Fact, str]], newcomer: str) -> None:
    entries = journal(*history)
    line = waiting(entries, HERE)
    assert [release for release in RELEASES if may_enter(entries, HERE, release)] == list(line[:1] or RELEASES)
    assert may_enter(entries, HERE, newcomer) == (ahead(entries, HERE, newcomer) == ())


@given(histories)
def test_everybody_who_waits_gets_in_by_turns_and_nobody_twice(history: list[tuple[str, Fact, str]]) -> None:
    line, entered = waiting(journal(*history), HERE), []
    while waits := waiting(journal(*history), HERE):
        (allowed,) = (release for release in waits if may_enter(journal(*history), HERE, release))
        history = [*history, (allowed, TAKEN, HERE), (allowed, LeaseReturned(), HERE)]
        entered.append(allowed)
    assert tuple(entered) == line


@given(histories)
def test_facts_of_other_kinds_and_calls_for_other_environments_change_nothing(
    history: list[tuple[str, Fact, str]],
) -> None:
    entries = journal(*history)
    read = [e for e in entries if e.fact.kind in KINDS and (e.environment == HERE or isinstance(e.fact, Entered))]
    assert waiting(read, HERE) == waiting(entries, HERE)


def test_calling_twice_keeps_the_place_and_calling_again_after_a_turn_takes_the_end() -> None:
    two = journal(("shop-1", QUEUED), ("shop-2", QUEUED), ("shop-1", QUEUED))
    assert waiting(two, HERE) == ("shop-1", "shop-2")
    again = journal(("shop-1", QUEUED), ("shop-2", QUEUED), ("shop-1", TAKEN), ("shop-1", QUEUED))
    assert waiting(again, HERE) == ("shop-2", "shop-1")


def test_a_lease_on_something_else_ends_no_wait() -> None:
    carried = journal(("shop-1", QUEUED), ("shop-1", TAKEN, "release shop-1"), ("shop-1", TAKEN, ELSEWHERE))
    assert waiting(carried, HERE) == ("shop-1",)


def superseding(*facts: Fact, where: str = HERE) -> list[Entry]:
    """shop-1 has been through this; shop-2 is newer."""
    through = tuple(("shop-1", fact, where) for fact in facts)
    return journal(("shop-1", OPENED, ""), *through, ("shop-2", OPENED, ""))


@pytest.mark.parametrize("verb", sorted(TRAFFIC))
def test_traffic_that_was_touched_here_keeps_a_release_in_its_place(verb: str) -> None:
    touched = Intended(key="k", verb=verb)
    assert may_supersede(superseding(Entered(phase="settled"), touched, where=ELSEWHERE), HERE, "shop-1", "shop-2")
    no = may_supersede(superseding(touched), HERE, "shop-1", "shop-2")
    assert (no.allowed, no.reason) == (
        False,
        "shop-1 has touched traffic in production: it finishes, or is taken back",
    )


@pytest.mark.parametrize(
    ("older", "newer", "why"),
    [
        ("shop-2", "shop-1", "shop-1 is not newer than shop-2"),
        ("shop-1", "shop-1", "shop-1 is not newer than shop-1"),
        ("shop-1", "shop-9", "shop-9 is not newer than shop-1"),
        ("shop-9", "shop-2", "shop-2 is not newer than shop-9"),
    ],
)
def test_only_a_newer_release_may_supersede(older: str, newer: str, why: str) -> None:
    assert may_supersede(superseding(), HERE, older, newer).reason == why


@pytest.mark.parametrize("phase", sorted(NEXT))
def test_whoever_may_be_superseded_may_be_aborted(phase: Phase) -> None:
    answer = may_supersede(superseding(DEPLOY, Entered(phase=phase)), HERE, "shop-1", "shop-2")
    assert bool(answer) == (phase in {"planned", "built", "awaiting approval", "approved", "settled"})
    assert phase in answer.reason or answer
    if answer:
        insist_legal([Entered(phase=phase)], Entered(phase="aborted"))


@given(histories)
def test_of_two_releases_at_most_one_may_supersede_the_other(history: list[tuple[str, Fact, str]]) -> None:
    entries = journal(*history)
    one, other = (may_supersede(entries, HERE, *pair) for pair in (("shop-1", "shop-2"), ("shop-2", "shop-1")))
    assert not (one and other)
    for answer, older in ((one, "shop-1"), (other, "shop-2")):
        told = [*entries, *journal(*[(older, Superseded(by="shop-8"), HERE)])]
        assert not answer or (superseded_by(told, HERE, older) == "shop-8" and older not in waiting(told, HERE))


def test_the_journals_order_decides_between_superseding_and_touching_traffic() -> None:
    in_time = superseding(Superseded(by="shop-2"), SHIFT)
    assert superseded_by(in_time, HERE, "shop-1") == "shop-2"
    assert superseded_by(in_time, ELSEWHERE, "shop-1") is None
    late = superseding(QUEUED, SHIFT, Superseded(by="shop-2"))
    assert superseded_by(late, HERE, "shop-1") is None
    assert waiting(late, HERE) == ("shop-1",)
    second = may_supersede(superseding(Superseded(by="shop-2")), HERE, "shop-1", "shop-2")
    assert second.reason == "shop-1 is superseded by shop-2 already"


def test_the_story_tells_who_waited_for_whom() -> None:
    assert sentence(QUEUED) == "waits behind shop-0: releasing 1.0.0"
    assert sentence(Superseded(by="shop-2")) == "superseded by shop-2"
