"""The way back is computed from what stands, not from what was planned."""

from collections.abc import Callable

import pytest

from domain.errors import Refused
from domain.release.artifact import Replica
from domain.release.outcomes import Deployed
from domain.release.plan import Settled
from domain.release.route import Endpoint, Route
from domain.release.standing import Standing
from domain.release.way_back import insist_reversible, target_of, way_back

Settle = Callable[..., Settled]
ROUTE = Route(
    name="shop-production",
    port=18080,
    blue=(Endpoint(name="blue-0", address="10.0.0.1", port=80),),
    green=(Endpoint(name="green-0", address="10.0.0.2", port=80),),
)


def deployed(settled: Settled, address: str = "") -> Deployed:
    """Have it run where ROUTE leads to, or at another address."""
    it = settled.deployment
    endpoint = ROUTE.endpoints(it.slot)[0]
    replica = Replica(
        id="i", name=endpoint.name, address=address or endpoint.address, port=80, image=it.artifact.image,
        service="shop", environment="production", release=it.release, version=it.version, slot=it.slot, token=1,
    )  # fmt: skip
    return Deployed(deployment=it, replicas=(replica,))


def test_before_it_settled_traffic_goes_back_in_one_command_then_the_candidate_retires(settled: Settle) -> None:
    old, new = settled("1.0.0", "blue"), settled("1.1.0", "green")
    stands = Standing(route=ROUTE, blue=deployed(old), green=deployed(new), settled=(old,))
    assert [(u.verb, u.slot) for u in way_back(stands, "shop-1.1.0")] == [("shift", "blue"), ("retire", "green")]


def test_an_undo_cut_off_before_the_old_version_was_reachable_restores_it_again(settled: Settle) -> None:
    old, new = settled("1.0.0", "blue"), settled("1.1.0", "green")
    unreachable = ROUTE.holding("blue", ())
    stands = Standing(route=unreachable, blue=deployed(old), green=deployed(new), settled=(old, new))
    assert [u.verb for u in way_back(stands, "shop-1.1.0")] == ["restore", "shift", "retire"]


def test_an_undo_cut_off_between_start_and_route_restores_again_and_trusts_no_old_address(settled: Settle) -> None:
    old, new = settled("1.0.0", "blue"), settled("1.1.0", "green")
    elsewhere = Standing(route=ROUTE, blue=deployed(old, "10.0.0.9"), green=deployed(new), settled=(old, new))
    assert [u.verb for u in way_back(elsewhere, "shop-1.1.0")] == ["restore", "shift", "retire"]


def test_after_it_settled_the_old_version_starts_again_from_its_digest_first(settled: Settle) -> None:
    old, new = settled("1.0.0", "blue"), settled("1.1.0", "green")
    stands = Standing(route=ROUTE, green=deployed(new), settled=(old, new))
    undo = way_back(stands, "shop-1.1.0")
    assert [u.verb for u in undo] == ["restore", "shift", "retire"]
    assert undo[0].deployment is not None
    assert undo[0].deployment.artifact == old.deployment.artifact
    assert undo[0].deployment.slot == "blue"


def test_a_first_release_leaves_nothing_behind(settled: Settle) -> None:
    new = settled("1.0.0", "blue")
    stands = Standing(route=ROUTE, blue=deployed(new))
    assert [(u.verb, u.slot) for u in way_back(stands, "shop-1.0.0")] == [("retire", "blue")]


def test_a_release_that_touched_nothing_here_has_nothing_to_undo(settled: Settle) -> None:
    old = settled("1.0.0", "blue")
    assert way_back(Standing(route=ROUTE, blue=deployed(old), settled=(old,)), "shop-1.1.0") == ()


def test_going_back_skips_what_the_same_release_left(settled: Settle) -> None:
    old, new = settled("1.0.0", "blue"), settled("1.1.0", "green")
    assert target_of(Standing(settled=(old, new)), "shop-1.1.0") == old


def test_a_rollback_needs_something_to_go_back_to(settled: Settle) -> None:
    old, new = settled("1.0.0", "blue"), settled("1.1.0", "green")
    with pytest.raises(Refused, match="nothing was ever released"):
        insist_reversible(Standing(), "shop", "production")
    with pytest.raises(Refused, match="first release"):
        insist_reversible(Standing(settled=(old,)), "shop", "production")
    assert insist_reversible(Standing(settled=(old, new)), "shop", "production") == "shop-1.1.0"
    back = old.model_copy(update={"way": "rollback"})
    with pytest.raises(Refused, match="just rolled back"):
        insist_reversible(Standing(settled=(old, new, back)), "shop", "production")
