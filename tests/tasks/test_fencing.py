"""A verb carries its owner's token into the world, and stops where its owner was overtaken."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from adapters.memory.router import MemoryRouter
from adapters.memory.workload import MemoryWorkload
from domain.environment.profile import Resources
from domain.errors import Conflict
from domain.release.artifact import Artifact, Deployment
from domain.release.route import Endpoint, Route
from domain.release.service import Runtime
from tasks.retire import retire
from tasks.shift import attach, shift
from tasks.step import Warrant

DEPLOYMENT = Deployment(
    service="shop",
    environment="production",
    release="r0",
    version="1.0.0",
    slot="blue",
    artifact=Artifact(repository="r/shop", version="1.0.0", digest=f"sha256:{'a' * 64}", image=f"sha256:{'b' * 64}"),
    replicas=2,
    resources=Resources(),
    runtime=Runtime(port=8080),
    config={},
    token=1,
)
ROUTE = Route(name="shop-production", port=8080, blue=(Endpoint(name="web", address="10.0.0.1", port=8080),))


def overtake(warrant: Warrant) -> None:
    warrant.leases.take("shop", "production", "somebody else", "takeover", 60, force=True)


def test_the_world_is_changed_under_the_owners_token(warrant: Warrant) -> None:
    router = MemoryRouter()
    router.apply(ROUTE, warrant.token + 1)
    for verb in (attach, shift):
        with pytest.raises(Conflict, match=f"token {warrant.token + 1}; mine is {warrant.token}"):
            verb(warrant, ROUTE.giving("green", 5_000), router)
    assert router.observe(ROUTE.name) == ROUTE


def test_without_a_lease_there_is_no_token_and_nothing_is_touched(warrant: Warrant) -> None:
    router = MemoryRouter()
    with pytest.raises(Conflict, match="holds no environment"):
        shift(replace(warrant, lease=None), ROUTE, router)
    assert router.observe(ROUTE.name) is None


def test_replicas_are_stopped_only_by_whoever_holds_the_environment_after_the_drain(
    warrant: Warrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    router, workload = MemoryRouter(), MemoryWorkload()
    replicas = workload.start(DEPLOYMENT)
    after_draining(router, lambda: overtake(warrant), monkeypatch)
    with pytest.raises(Conflict, match="the lease with token"):
        retire(warrant, ROUTE, "blue", 1.0, "shop", router, workload)
    assert workload.running("shop", "production") == replicas


def test_what_came_into_the_slot_while_it_drained_is_stopped_too(
    warrant: Warrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    router, workload = MemoryRouter(), MemoryWorkload()
    after_draining(router, lambda: workload.start(DEPLOYMENT), monkeypatch)
    retire(warrant, ROUTE, "blue", 1.0, "shop", router, workload)
    assert workload.running("shop", "production") == ()


def after_draining(router: MemoryRouter, then: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let something happen when the slot is off the route."""
    apply = router.apply

    def apply_then(route: Route, token: int) -> None:
        apply(route, token)
        then()

    monkeypatch.setattr(router, "apply", apply_then)
