"""Leftovers are cleared away beside running releases; what is owned, held or in use stays."""

from typing import TYPE_CHECKING

import pytest

from domain.environment.orphans import Belonging
from domain.errors import Rejected
from domain.facts import Cleared, LeaseTaken
from domain.release.route import Route
from flows.release import release
from tasks.clear_away import clear_away
from tasks.find_orphans import find_orphans

if TYPE_CHECKING:
    from conftest import World

DEAD = "shop-v0-dead"


def leave_behind(world: "World", **more: str) -> None:
    """Plant one leftover of each kind, and neighbours that somebody owns."""
    known = {"service": "shop", "environment": "production", "release": DEAD, **more}
    world.workload.leftovers += [
        Belonging(kind="container", id="c1", name="left-0", address="10.9.9.9", **known),
        Belonging(kind="network", id="n1", name="interlock-gone", environment="gone"),
        Belonging(kind="network", id="n2", name="interlock-production", environment="production"),
        Belonging(kind="volume", id="v1", name="data-of-dead", release=DEAD),
    ]
    world.databases["dev"].scratches += [
        Belonging(kind="database", id="old", name="old", age=7200),
        Belonging(kind="database", id="used", name="used", age=7200, in_use=True),
    ]
    world.databases["production"].scratches = world.databases["dev"].scratches  # one server
    world.store.unfinished += [Belonging(kind="object", id="half", name="half", age=7200)]
    world.router.apply(Route(name="blog-dev", port=1), 0)


ALL = {"c1", "n1", "v1", "old", "half", "blog-dev"}


def go(ref: str) -> str:
    return release.fn("shop", ref, "production", "dora", "a test")


@pytest.fixture
def after(world: "World") -> "World":
    """A shop that serves 1.0.0, and an image of 1.1.0, which was built and failed its tests."""
    go("v1.0.0")
    world.workload.exit_codes[("unit-tests",)] = 1
    world.source.commit("feat: red", {"app.py": "red"}, tag="v1.1.0")
    with pytest.raises(Rejected, match="check unit"):
        go("v1.1.0")
    return world


def removed(world: "World", **more: bool) -> set[str]:
    return {it.belonging.id for it in clear_away(world.desk, **more)}


def image_of(world: "World", tag: str) -> str:
    [image] = [it.id for it in world.desk.ports.builder.belongings() if tag in it.release]
    return image


def test_a_shop_without_leftovers_has_nothing_to_clear_and_takes_no_lease(world: "World") -> None:
    go("v1.0.0")
    before = len(world.desk.journal.entries())
    assert clear_away(world.desk, everywhere=True) == ()
    assert len(world.desk.journal.entries()) == before


def test_one_of_each_kind_goes_and_everything_that_serves_stays(after: "World") -> None:
    leave_behind(after)
    red = image_of(after, "v1.1.0")
    serving = after.serving("production")
    listed = find_orphans(after.desk, everywhere=True)
    assert {it.belonging.id for it in listed} == ALL | {red}
    assert removed(after, everywhere=True) == ALL | {red}
    assert find_orphans(after.desk, everywhere=True) == ()
    assert after.serving("production") == serving
    assert {it.id for it in after.workload.leftovers} == {"n2"}
    assert {it.id for it in after.databases["dev"].scratches} == {"used"}
    assert image_of(after, "v1.0.0")
    assert removed(after, everywhere=True) == set()


def test_each_removal_is_a_fact_with_its_reason_under_the_lease_of_its_place(after: "World") -> None:
    leave_behind(after)
    clear_away(after.desk, everywhere=True, actor="linus")
    entries = after.desk.journal.entries(kinds=("cleared",))
    facts = [(e, e.fact) for e in entries if isinstance(e.fact, Cleared)]
    said = {fact.what: (e.actor, e.release, e.environment, fact.reason) for e, fact in facts}
    assert said["container left-0"] == ("linus", DEAD, "production", "no release of this ledger made it")
    assert said["network interlock-gone"] == ("linus", "clear-away", "gone", "there is no environment gone")
    assert len(said) == 7
    [token] = {e.token for e in entries if e.environment == "production"}
    taken = after.desk.journal.entries(environment="production", kinds=("lease taken",))[-1]
    assert taken.token == token
    assert taken.fact == LeaseTaken(owner="clear-away/linus", reason="clearing away what nobody owns")
    assert after.desk.leases.holder("shop", "production") is None


def test_one_service_takes_only_its_own(after: "World") -> None:
    leave_behind(after)
    after.workload.leftovers.append(Belonging(kind="container", id="c2", name="blog-0", service="blog", release=DEAD))
    red = image_of(after, "v1.1.0")
    assert removed(after) == {"c1", "old", red}


def test_a_held_place_keeps_its_leftovers_and_the_rest_goes(after: "World") -> None:
    leave_behind(after)
    after.desk.leases.take("shop", "production", "shop-v2", "releasing 2.0.0", 60)
    assert "c1" not in removed(after, everywhere=True)
    assert {it.id for it in after.workload.leftovers} == {"c1", "n2"}


def test_a_lease_that_is_taken_between_the_look_and_the_removal_wins(after: "World") -> None:
    leave_behind(after)
    take = after.desk.leases.take

    def lose(service: str, environment: str, owner: str, reason: str, ttl: float, *, force: bool = False) -> object:
        if owner.startswith("clear-away"):
            take(service, environment, "shop-v2", "releasing 2.0.0", 60)
        return take(service, environment, owner, reason, ttl, force=force)

    after.desk.leases.take = lose  # type: ignore[method-assign, assignment]  # somebody is always a little faster
    assert "c1" not in removed(after, everywhere=True)
    assert "c1" in {it.id for it in after.workload.leftovers}


def test_what_came_into_use_between_the_look_and_the_removal_stays(after: "World") -> None:
    leave_behind(after)
    after.workload.discard = lambda belonging, token: False  # type: ignore[method-assign]  # an engine that says no
    assert not {"c1", "n1", "v1"} & removed(after, everywhere=True)
    assert not any("left-0" in e.fact.what for e in after.desk.journal.entries(kinds=("cleared",)))  # type: ignore[union-attr]


def test_a_container_that_the_router_leads_to_is_left_to_a_reconciliation(after: "World") -> None:
    leave_behind(after)
    route = after.router.observe("shop-production")
    assert route is not None
    stray = route.blue[0].model_copy(update={"name": "left-0", "address": "10.9.9.9"})
    after.router.apply(route.holding("blue", (*route.blue, stray)), 1_000)
    assert "c1" not in removed(after, everywhere=True)
