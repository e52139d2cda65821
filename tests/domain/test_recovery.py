"""What becomes of a release whose run is gone: every row of the table, from the journal alone."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.canary.tick import Tick
from domain.facts import Done, Entered, Entry, Fact, Failed, Intended, Looked, Phase, Planned, Recovered, Superseded
from domain.lease import Lease
from domain.release.outcomes import Routed
from domain.release.plan import Plan, Settled
from domain.release.recovery import Decision, Fate, Limits, decide, seems_lost
from domain.release.route import Endpoint, Route, Slot, other
from domain.release.state import ReleaseState

WHERE = "production"
LIMITS = Limits(dark=600.0, attempts=3)
RECOVERED = Recovered(lost="run", fate="died", action="go on", reason="r")


def journal(*facts: Fact) -> list[Entry]:
    return [
        Entry(
            seq=seq, at="2026-11-21T09:00:00.000Z", actor="dora", release="shop-2", service="shop",
            environment="" if isinstance(fact, Planned) else WHERE, fact=fact, previous="", hash="",
        )
        for seq, fact in enumerate(facts, start=1)
    ]  # fmt: skip


def decided(facts: Sequence[Fact], fate: Fate = "died", dark: float = 0.0) -> Decision:
    return decide(journal(*facts), fate, dark, LIMITS)


@pytest.fixture
def ramp(plan: Callable[..., Plan], settled: Callable[..., Settled]) -> Callable[..., list[Fact]]:
    """Write the journal of a release whose candidate has a share of traffic, in basis points."""
    drawn = plan(settled={"production": settled("1.0.0", "blue"), "dev": settled("1.0.0", "blue")})
    mine: Slot = drawn.stage(WHERE).slot
    both = {slot: (Endpoint(name=f"{slot}-0", address="10.0.0.1", port=80),) for slot in (mine, other(mine))}

    def ramp(share: int, *, first: bool = False) -> list[Fact]:
        here = {mine: both[mine]} if first else both
        green = share if mine == "green" else 10_000 - share
        route = Route.model_validate({"name": "shop-production", "port": 18080, **here, "green_share": green})
        shifted = Done(key="k", verb="shift", outcome=Routed(route=route).model_dump())
        return [Planned(plan=drawn, hash="h"), Entered(phase="deploying"), shifted, Entered(phase="baking")]

    return ramp


@pytest.mark.parametrize("phase", ["planned", "approved", "built"])
def test_before_any_environment_is_touched_it_goes_on_or_stops_cleanly(phase: Phase) -> None:
    assert decided([Entered(phase=phase)]).action == "go on"
    assert decided([Entered(phase=phase)], "cancelled").action == "abort"


def test_a_release_that_died_before_its_first_phase_goes_on() -> None:
    assert decided([]).action == "go on"


def test_a_candidate_without_traffic_goes_on_or_is_taken_back_where_it_stands() -> None:
    facts = [Entered(phase="deploying"), Intended(key="k", verb="deploy")]
    assert decided(facts, dark=9e9).action == "go on"
    assert decided(facts, "cancelled") == Decision(
        action="undo", reason=decided(facts, "cancelled").reason, environment=WHERE
    )


def test_a_ramp_goes_on_with_its_evidence_unless_nobody_watched_for_too_long(ramp: Callable[..., list[Fact]]) -> None:
    looked = Looked(share=1000, next_share=5000, tick=Tick(second=1))
    facts = [*ramp(1000), looked, looked]
    went_on = decided(facts, dark=600.0)
    assert went_on.action == "go on"
    assert went_on.reason == "the ramp goes on at 10 % with the 2 s of evidence in the journal"
    undone = decided(facts, dark=600.1)
    assert undone.action == "undo"
    assert "10 % of traffic went unwatched for 600 s" in undone.reason


def test_with_all_traffic_it_is_finished_forward_however_long_nobody_watched(ramp: Callable[..., list[Fact]]) -> None:
    assert decided(ramp(10_000), dark=9e9).action == "go on"
    assert "finish forward" in decided(ramp(10_000), dark=9e9).reason


def test_a_first_release_has_all_traffic_whatever_its_share_says(ramp: Callable[..., list[Fact]]) -> None:
    assert "finish forward" in decided(ramp(0, first=True), dark=9e9).reason


def test_a_step_that_failed_before_its_run_died_is_answered_as_the_run_would_have() -> None:
    failed = [Intended(key="k", verb="build"), Failed(key="k", verb="build", error="Rejected", message="no Dockerfile")]
    told = decided([Entered(phase="planned"), *failed])
    assert (told.action, told.reason) == ("abort", "build failed before the run did: no Dockerfile")
    assert decided([Entered(phase="deploying"), *failed]).action == "undo"
    assert decided([Entered(phase="deploying"), *failed, Intended(key="k", verb="build")]).action == "go on"


def test_an_undo_is_finished_by_whomever_it_was_interrupted() -> None:
    for fate in ("died", "cancelled", "failed"):
        assert decided([Entered(phase="rolling back")], fate).action == "undo"


def test_what_is_stuck_is_held_and_what_is_over_is_left() -> None:
    assert decided([Entered(phase="stuck")]).action == "hold"
    for phase in ("released", "rolled back", "aborted"):
        assert decided([Entered(phase=phase)]).action == "leave"


def test_recoveries_in_vain_end_in_an_undo_and_those_of_an_undo_in_a_hold() -> None:
    vain = [RECOVERED] * LIMITS.attempts
    assert decided([Entered(phase="deploying"), *vain[1:]]).action == "go on"
    assert decided([Entered(phase="deploying"), *vain]).action == "undo"
    assert decided([Entered(phase="rolling back"), *vain]).action == "hold"
    assert decided([Entered(phase="deploying"), *vain, Done(key="k", verb="back_up", outcome={})]).action == "go on"


def test_a_superseded_release_stops_but_one_that_had_touched_traffic_before_goes_on() -> None:
    taken = Superseded(by="shop-3")
    stopped = decided([Entered(phase="deploying"), taken])
    assert (stopped.action, stopped.reason) == ("undo", "superseded by shop-3")
    too_late = [Entered(phase="deploying"), Intended(key="k", verb="attach"), taken]
    assert decided(too_late).action == "go on"


@given(
    facts=st.lists(
        st.sampled_from(
            [Entered(phase=p) for p in ("planned", "built", "deploying", "baking", "rolling back", "stuck", "released")]
            + [
                RECOVERED,
                Superseded(by="shop-3"),
                Intended(key="k", verb="shift"),
                Done(key="k", verb="build", outcome={}),
            ]
        ),
        max_size=12,
    ),
    fate=st.sampled_from(["died", "cancelled", "failed"]),
    dark=st.floats(0, 1e6),
)
def test_an_environment_that_may_be_half_changed_is_never_just_left(facts: list[Fact], fate: Fate, dark: float) -> None:
    told = decided(facts, fate, dark)
    phase = next((f.phase for f in reversed(facts) if isinstance(f, Entered)), None)
    assert told.reason
    if phase in ("deploying", "baking", "rolling back"):
        assert told.action in ("go on", "undo", "hold")
        assert told.environment == WHERE
    if phase in ("rolling back", "stuck"):
        assert told.action != "go on"


def test_the_carriers_lease_tells_who_lives_and_the_environments_who_is_held() -> None:
    def lease(left: float) -> Lease:
        return Lease(service="shop", environment=WHERE, owner="shop-2/x", reason="r", token=1, expires_in=left)

    def state(phase: Phase) -> ReleaseState:
        return ReleaseState(release="shop-2", service="shop", phase=phase, environment=WHERE)

    assert seems_lost(state("deploying"), None, lease(9.0))
    assert seems_lost(state("deploying"), lease(0.0), lease(9.0))
    assert not seems_lost(state("deploying"), lease(9.0), None)
    assert seems_lost(state("stuck"), lease(9.0), None)
    assert not seems_lost(state("stuck"), None, lease(9.0))
    assert not seems_lost(state("released"), None, None)
