"""The release flow in memory: what stands at the end, whatever happens on the way."""

from functools import partial
from typing import TYPE_CHECKING

import pytest

from domain.canary.replay import replay
from domain.canary.tick import Cell, Tick
from domain.errors import Conflict, Refused, Rejected, ReleaseError
from domain.facts import Done
from domain.release.recall import plan_of
from domain.release.route import Route
from flows.release import release
from flows.rollback import rollback
from tasks.judge import judge_of

if TYPE_CHECKING:
    from conftest import World

ADD = "-- interlock: phase=expand\nalter table orders add note text;"


def visits(p_candidate: float = 0.0, requests: int = 400):
    """Send so many requests a second, split as the route says; the candidate fails a share of its own."""

    def traffic(route: Route, candidate: str, second: int) -> Tick:
        share = route.share(candidate) / 10_000
        n_c = round(requests * share)
        cells = [Cell(arm="candidate", replica="c", requests=n_c, bad=round(n_c * p_candidate))] if n_c else []
        if n_c < requests:
            cells.append(Cell(arm="stable", replica="s", requests=requests - n_c, bad=0))
        return Tick(second=second, cells=tuple(cells))

    return traffic


def go(ref: str, to: str = "production") -> str:
    return release.fn("shop", ref, to, "dora", "a test")


@pytest.fixture
def opened(world: "World") -> "World":
    """A shop whose v1.0.0 serves everywhere, with visitors, and a v1.1.0 to release."""
    go("v1.0.0")
    world.source.commit("feat: notes", {"db/0002_note.up.sql": ADD, "app.py": "notes"}, tag="v1.1.0")
    world.router.traffic = visits()
    return world


def effects(world: "World", verb: str) -> list[Done]:
    entries = world.desk.journal.entries(service="shop", kinds=("done",))
    return [e.fact for e in entries if isinstance(e.fact, Done) and e.fact.verb == verb]


def test_the_first_release_serves_everywhere_from_one_digest(world: "World") -> None:
    assert go("v1.0.0") == "shop 1.0.0 is released to dev → production"
    assert world.phase("v1.0.0") == "released"
    assert world.serving("dev") == ("1.0.0", 1, 10_000)
    assert world.serving("production") == ("1.0.0", 2, 10_000)
    assert len({r.image for name in ("dev", "production") for r in world.workload.running("shop", name)}) == 1
    assert [row.number for row in world.databases["production"].applied()] == [1]


def test_a_good_change_ramps_is_judged_bakes_and_replaces_the_old_version(opened: "World") -> None:
    go("v1.1.0")
    shares = [route.share("green") for route in opened.router.applied if route.name == "shop-production"]
    assert [share for share in dict.fromkeys(shares) if share] == [1000, 5000, 10_000]
    assert opened.serving("production") == ("1.1.0", 2, 10_000)
    assert {r.version for r in opened.workload.running("shop", "production")} == {"1.1.0"}
    judged = [e.fact for e in opened.desk.journal.entries(service="shop", kinds=("judged",))]
    assert [(fact.share, fact.verdict.decision) for fact in judged] == [  # type: ignore[union-attr]  # by kind
        (1000, "promote"), (5000, "promote"), (10_000, "promote"),
    ]  # fmt: skip


def test_every_verdict_is_reproduced_bit_for_bit_and_another_policy_is_told_apart(opened: "World") -> None:
    opened.router.traffic = visits(p_candidate=0.1)
    with pytest.raises(Rejected):
        go("v1.1.0")
    journal = opened.desk.journal
    for name in dict.fromkeys(entry.release for entry in journal.entries(service="shop", kinds=("looked",))):
        seen, plan = journal.entries(release=name, kinds=("looked", "judged")), plan_of(journal.entries(release=name))
        assert plan
        told = replay(seen, partial(judge_of, journal, plan, name))
        assert told
        assert all(one.same for one in told)
    stricter = plan.criteria.model_copy(update={"alpha": 1e-9})
    [other] = replay(seen, partial(judge_of, journal, plan, name, criteria=stricter))
    assert (other.recorded.decision, other.same) == ("roll back", False)
    assert other.decided is None


def test_a_bad_canary_goes_back_at_a_tenth_of_the_traffic(opened: "World") -> None:
    opened.router.traffic = visits(p_candidate=0.1)
    with pytest.raises(Rejected, match="rolls back at 10 %"):
        go("v1.1.0")
    assert opened.phase("v1.1.0") == "rolled back"
    assert opened.serving("production") == ("1.0.0", 2, 10_000)
    assert {r.version for r in opened.workload.running("shop", "production")} == {"1.0.0"}
    assert max(r.share("green") for r in opened.router.applied if r.name == "shop-production") == 1000


def test_users_do_not_wait_for_the_paperwork_of_a_rollback(opened: "World") -> None:
    opened.router.traffic = visits(p_candidate=0.1)
    with pytest.raises(Rejected):
        go("v1.1.0")
    entries = opened.desk.journal.entries(service="shop", environment="production")
    back = [e.fact.kind for e in entries if "v1.1.0" in e.release and not e.fact.kind.startswith("lease")]
    verdict = len(back) - 1 - back[::-1].index("judged")
    assert back[verdict + 1 : verdict + 4] == ["entered", "intended", "done"]  # one line, then traffic, then all else
    keys = [fact.key for fact in effects(opened, "shift")]
    assert len(keys) == len(set(keys))


def test_without_traffic_nothing_is_promoted_and_the_reason_says_so(opened: "World") -> None:
    opened.router.traffic = visits(requests=0)
    with pytest.raises(Rejected, match="no request has reached the candidate"):
        go("v1.1.0")
    assert opened.serving("production")[0] == "1.0.0"


def test_red_tests_stop_a_release_before_anything_is_published(world: "World") -> None:
    world.workload.exit_codes[("unit-tests",)] = 1
    with pytest.raises(Rejected, match="check unit in build"):
        go("v1.0.0")
    assert world.phase("v1.0.0") == "aborted"
    assert world.desk.ports.registry.resolve("registry.memory/shop", "1.0.0") is None


@pytest.mark.parametrize("knob", ["never_ready", "silent"])
def test_a_candidate_that_is_not_ready_or_does_not_log_is_taken_away_again(opened: "World", knob: str) -> None:
    getattr(opened.workload, knob).add("1.1.0")
    with pytest.raises(Rejected, match=r"dev-green-0|not ready|no log line"):
        go("v1.1.0")
    assert {r.version for r in opened.workload.running("shop", "dev")} == {"1.0.0"}
    assert opened.serving("dev")[0] == "1.0.0"


def test_a_broken_journey_names_its_step_and_takes_the_candidate_back(opened: "World") -> None:
    opened.probe.answers = {"/": (500, "boom")}
    with pytest.raises(Rejected, match=r"check smoke in dev: step 1 \(GET /\) on .*answered 500, expected 200: boom"):
        go("v1.1.0")
    assert opened.serving("dev")[0] == "1.0.0"


def test_a_failing_migration_changes_nothing_and_is_named(opened: "World") -> None:
    before = opened.databases["dev"].fingerprint()
    opened.source.commit(
        "feat: broken",
        {"db/0003_bad.up.sql": "-- interlock: phase=expand\nalter table nowhere add a int;"},
        tag="v1.2.0",
    )
    with pytest.raises(Rejected, match="0003_bad"):
        go("v1.2.0")
    assert opened.phase("v1.2.0") == "aborted"  # it failed on the copy already
    assert [row.number for row in opened.databases["dev"].applied()] == [1]
    assert opened.databases["dev"].fingerprint() == before
    assert opened.serving("dev")[0] == "1.0.0"


def test_a_migration_that_gets_no_lock_is_taken_back_and_names_who_holds_it(opened: "World") -> None:
    opened.databases["dev"].holder = "a report, for hours"
    with pytest.raises(Rejected, match="no lock within"):
        go("v1.1.0")
    assert opened.phase("v1.1.0") == "rolled back"
    assert [row.number for row in opened.databases["dev"].applied()] == [1]
    assert opened.serving("dev")[0] == "1.0.0"


def test_an_operator_takes_a_finished_release_back(opened: "World") -> None:
    go("v1.1.0")
    said = rollback.fn("shop", "production", "customers complain", "dora")
    assert "1.0.0 serves again" in said
    assert "no row is lost" in said
    assert opened.serving("production") == ("1.0.0", 2, 10_000)
    assert opened.phase("v1.1.0") == "rolled back"
    with pytest.raises(Refused, match="just rolled back"):
        rollback.fn("shop", "production", "once more", "dora")


def test_after_a_rollback_the_next_release_goes_forward_again(opened: "World") -> None:
    go("v1.1.0")
    rollback.fn("shop", "production", "customers complain", "dora")
    opened.source.commit("fix: notes", {"app.py": "better notes"}, tag="v1.1.1")
    go("v1.1.1")
    assert opened.serving("production") == ("1.1.1", 2, 10_000)


def test_an_undo_that_fails_is_stuck_keeps_the_lease_and_calls_a_person(opened: "World") -> None:
    opened.router.traffic = visits(p_candidate=0.2)
    apply = opened.router.apply

    def refuse_to_go_back(route: Route, token: int) -> None:
        ramped = any(r.share("green") for r in opened.router.applied if r.name == "shop-production")
        if route.name == "shop-production" and ramped and route.share("blue") == 10_000:
            raise Conflict("the router says no")
        apply(route, token)

    opened.router.apply = refuse_to_go_back  # type: ignore[method-assign]  # a router that breaks at the worst moment
    with pytest.raises(ReleaseError):
        go("v1.1.0")
    assert opened.phase("v1.1.0") == "stuck"
    holder = opened.desk.leases.holder("shop", "production")
    assert holder is not None
    assert holder.expires_in > 3600
    assert ("ops", "needs a person") in opened.said()
    opened.router.apply = apply  # type: ignore[method-assign]  # mended
    rollback.fn("shop", "production", "the router is mended", "dora")
    assert opened.phase("v1.1.0") == "rolled back"
    assert opened.serving("production")[0] == "1.0.0"


def test_a_flow_that_dies_anywhere_is_continued_and_nothing_is_done_twice(opened: "World") -> None:
    class Died(BaseException):
        """A power cut."""

    apply, calls = opened.router.apply, []

    def die_once(route: Route, token: int) -> None:
        apply(route, token)
        calls.append(route)
        if route.share("green") == 5000 and len([r for r in calls if r.share("green") == 5000]) == 1:
            raise Died

    opened.router.apply = die_once  # type: ignore[method-assign]  # dies after the effect, before the outcome
    with pytest.raises(Died):
        go("v1.1.0")
    name = opened.release("v1.1.0")
    with pytest.raises(Conflict, match="is carried by another run"):
        release.fn("shop", "v1.1.0", "production", "dora", "a test", resume=name)
    opened.expire_leases()
    release.fn("shop", "v1.1.0", "production", "dora", "a test", resume=name)
    assert opened.phase("v1.1.0") == "released"
    assert opened.serving("production") == ("1.1.0", 2, 10_000)
    halves = [r for r in opened.router.applied if r.name == "shop-production" and r.share("green") == 5000]
    assert len(halves) == 1
    for verb in ("build", "publish", "migrate", "deploy", "shift"):
        keys = [fact.key for fact in effects(opened, verb)]
        assert len(keys) == len(set(keys))


def test_an_error_that_nobody_foresaw_walks_the_way_back_too(opened: "World") -> None:
    apply = opened.router.apply

    def stumble(route: Route, token: int) -> None:
        if route.share("green") == 5000 and route.name == "shop-production":
            raise TimeoutError("the task ran out of time")
        apply(route, token)

    opened.router.apply = stumble  # type: ignore[method-assign]  # fails in a way no adapter should
    with pytest.raises(TimeoutError):
        go("v1.1.0")
    assert opened.phase("v1.1.0") == "rolled back"
    assert opened.serving("production")[0] == "1.0.0"
    assert opened.desk.leases.holder("shop", "production") is None


def test_a_version_that_is_published_never_changes(opened: "World") -> None:
    go("v1.1.0")
    opened.source.commit("feat: sneaky", {"app.py": "other bytes"}, tag="v1.1.0")
    with pytest.raises(Refused, match="a published version never changes"):
        go("v1.1.0")


def test_every_stakeholder_group_hears_in_its_own_words(opened: "World") -> None:
    go("v1.1.0")
    groups = {group for group, occasion in opened.said() if occasion == "succeeded"}
    assert groups == {"dev", "ops", "product", "support"}


def test_the_journal_is_sealed_in_the_store_and_verifies(opened: "World") -> None:
    assert list(opened.store.keys("checkpoints/"))


def test_a_stage_that_settled_before_another_failed_can_be_taken_back_too(opened: "World") -> None:
    opened.router.traffic = visits(p_candidate=0.1)
    with pytest.raises(Rejected):
        go("v1.1.0")
    assert (opened.serving("dev")[0], opened.serving("production")[0]) == ("1.1.0", "1.0.0")
    rollback.fn("shop", "dev", "tidy up", "dora")
    assert opened.serving("dev")[0] == "1.0.0"


def test_a_refused_plan_ends_the_release(world: "World") -> None:
    with pytest.raises(Refused, match="requester-is-known"):
        release.fn("shop", "v1.0.0", "production", "mallory", "a test")
    assert world.phase("v1.0.0") == "aborted"


def test_the_end_report_compares_success_metrics_with_what_was_measured(opened: "World") -> None:
    from flows.report import success_lines  # noqa: PLC0415  # only here

    go("v1.1.0")
    name = next(e.release for e in opened.desk.journal.entries(kinds=("opened",)) if "v1.1.0" in e.release)
    plan = next(e.fact.plan for e in opened.desk.journal.entries(release=name, kinds=("planned",)))  # type: ignore[union-attr]
    warrant = type("W", (), {"release": name})()
    assert success_lines(plan, warrant, opened.desk) == ["| availability | ≥ 0.99 | 1 | met |"]
