"""The bake in the release flow: what is held back, what the burn guard takes back, and where the next ramp starts."""

from functools import partial
from typing import TYPE_CHECKING

import pytest

from domain.canary.criteria import Objective, Season
from domain.canary.replay import replay
from domain.canary.tick import Cell, Tick
from domain.errors import Rejected
from domain.facts import Judged, Looked
from domain.release.recall import bake_of, plan_of
from domain.release.route import Route
from flows.release import release
from tasks.judge import judge_of

if TYPE_CHECKING:
    from conftest import World


def visits(fails: float = 0.0, stable_fails: float = 0.0, above: int = 0):
    """Send 400 requests a second; the candidate fails a part of its own once its share is above so many points."""

    def traffic(route: Route, candidate: str, second: int) -> Tick:
        n_c = round(400 * route.share(candidate) / 10_000)
        bad = round(n_c * fails) if route.share(candidate) > above else 0
        arms = (("candidate", n_c, bad), ("stable", 400 - n_c, round((400 - n_c) * stable_fails)))
        cells = [Cell.model_validate({"arm": a, "replica": a[0], "requests": n, "bad": b}) for a, n, b in arms if n]
        return Tick(second=second, cells=tuple(cells))

    return traffic


def go(ref: str) -> str:
    return release.fn("shop", ref, "production", "dora", "a test")


def rolled_out(world: "World", **rollout: object) -> None:
    """Change how production is rolled out."""
    known = world.desk.catalog.environments
    changed = known["production"].rollout.model_copy(update=rollout)
    known["production"] = known["production"].model_copy(update={"rollout": changed})


def shares(world: "World", slot: str) -> list[int]:
    applied = [r.share(slot) for r in world.router.applied if r.name == "shop-production"]  # type: ignore[arg-type]
    return [share for share in dict.fromkeys(applied) if share]


@pytest.fixture
def opened(world: "World") -> "World":
    """A shop whose v1.0.0 serves everywhere, with visitors, and a v1.1.0 to release."""
    go("v1.0.0")
    world.source.commit("feat: notes", {"app.py": "notes"}, tag="v1.1.0")
    world.router.traffic = visits()
    return world


def test_what_is_held_back_is_compared_for_the_whole_bake_and_follows_then(opened: "World") -> None:
    rolled_out(opened, holdback=5)
    go("v1.1.0")
    assert shares(opened, "green") == [1000, 5000, 9500, 10_000]
    assert opened.serving("production") == ("1.1.0", 2, 10_000)
    seen = opened.desk.journal.entries(service="shop", kinds=("looked", "judged"))
    judged = [e.fact for e in seen if isinstance(e.fact, Judged)]
    assert [(it.share, it.verdict.decision) for it in judged] == [
        (1000, "promote"), (5000, "promote"), (9500, "promote"),
    ]  # fmt: skip
    looks = [e.fact for e in seen if isinstance(e.fact, Looked) and e.fact.share == 9500]
    assert len(looks) == 5
    assert all(look.tick.total("stable")[0] == 20 for look in looks)
    assert bake_of(seen, "production") == [look.tick for look in looks]


def test_what_spoils_during_the_bake_goes_back_to_the_version_that_never_stopped(opened: "World") -> None:
    rolled_out(opened, holdback=5)
    opened.router.traffic = visits(fails=0.2, above=9000)
    with pytest.raises(Rejected, match="rolls back at 95 %"):
        go("v1.1.0")
    assert opened.phase("v1.1.0") == "rolled back"
    assert opened.serving("production") == ("1.0.0", 2, 10_000)
    assert max(shares(opened, "green")) == 9500


def test_without_a_judge_nothing_is_held_back(opened: "World") -> None:
    rolled_out(opened, holdback=5, evidence="checks")
    go("v1.1.0")
    assert shares(opened, "green") == [1000, 5000, 10_000]


def test_a_share_lasts_as_long_as_was_asked_however_clear_it_is(opened: "World") -> None:
    rolled_out(opened, at_least=40.0)
    go("v1.1.0")
    looked = [e.fact for e in opened.desk.journal.entries(service="shop", kinds=("looked",))]
    assert [sum(isinstance(it, Looked) and it.share == share for it in looked) for share in (1000, 5000)] == [40, 40]


def test_the_burn_guard_takes_back_what_no_comparison_shows_and_is_replayed_bit_for_bit(opened: "World") -> None:
    service = opened.desk.service
    assert service.criteria
    guarded = service.criteria.model_copy(update={"objective": Objective(success=99.9)})
    object.__setattr__(opened.desk, "service", service.model_copy(update={"criteria": guarded}))
    opened.router.traffic = visits(fails=0.05, stable_fails=0.05)
    with pytest.raises(Rejected, match="burns its error budget"):
        go("v1.1.0")
    seen = opened.desk.journal.entries(release=opened.release("v1.1.0"), kinds=("looked", "judged"))
    plan = plan_of(opened.desk.journal.entries(release=opened.release("v1.1.0"), kinds=("planned",)))
    assert plan
    seat = partial(judge_of, opened.desk.journal, plan, opened.release("v1.1.0"))
    [told] = replay(seen, seat)
    assert told.same
    assert (told.recorded.decision, told.decided) == ("roll back", told.second)
    [loose] = replay(seen, partial(seat, criteria=plan.criteria.model_copy(update={"objective": None})))
    assert loose.now.decision == "continue"


def test_a_ramp_starts_by_the_traffic_that_was_last_seen(opened: "World") -> None:
    rolled_out(opened, start="auto")
    go("v1.1.0")
    assert shares(opened, "green") == [1000, 5000, 10_000]  # nobody had looked before
    opened.source.commit("feat: more", {"app.py": "more"}, tag="v1.2.0")
    go("v1.2.0")
    assert shares(opened, "blue")[-2:] == [200, 1000]
    plan = plan_of(opened.desk.journal.entries(release=opened.release("v1.2.0"), kinds=("planned",)))
    assert plan
    stage = plan.stage("production")
    assert stage.ramp == (200, 1000, 5000, 10_000)
    assert stage.start.startswith("2 % of 400 requests/s")


def test_a_release_without_a_long_past_says_so_and_is_replayed_with_what_it_had(opened: "World") -> None:
    service = opened.desk.service
    assert service.criteria
    seasonal = service.criteria.model_copy(update={"season": Season()})
    object.__setattr__(opened.desk, "service", service.model_copy(update={"criteria": seasonal}))
    go("v1.1.0")
    entries = opened.desk.journal.entries(release=opened.release("v1.1.0"), kinds=("looked", "judged"))
    verdict = [e.fact.verdict for e in entries if isinstance(e.fact, Judged)][-1]
    assert verdict.decision == "promote"
    assert "not held against the past: 0 placebo bakes of 15 min are known, 99 are needed" in verdict.reasons
    plan = plan_of(opened.desk.journal.entries(release=opened.release("v1.1.0"), kinds=("planned",)))
    assert plan
    told = replay(entries, partial(judge_of, opened.desk.journal, plan, opened.release("v1.1.0")))
    assert [one.same for one in told] == [True, True, True]
