"""What nobody owns is told from what somebody does, or may."""

from typing import Any

import pytest

from domain.environment.orphans import Belonging, Estate, Orphan, estate, orphans
from domain.facts import Done, Entered, Entry, Fact, NowServing, Opened, Phase
from domain.release.artifact import Artifact, Deployment, Replica
from domain.release.outcomes import Built, Deployed, Retired, Routed
from domain.release.plan import Request, Settled
from domain.release.route import Route
from domain.value import Value

HOUR = 3600.0
IMAGES = {name: f"sha256:{letter * 64}" for name, letter in (("old", "a"), ("new", "b"), ("red", "c"))}


class Ledger:
    """Facts of one shop, as the flows would have written them."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def write(self, fact: Fact, release: str, environment: str = "") -> None:
        known = {"at": "2026-11-21T12:00:00Z", "actor": "dev", "service": "shop", "previous": "", "hash": ""}
        seq = len(self.entries) + 1
        self.entries.append(Entry(seq=seq, release=release, environment=environment, fact=fact, **known))

    def done(self, verb: str, outcome: Value, release: str, environment: str = "") -> None:
        self.write(Done(key=verb, verb=verb, outcome=outcome.model_dump(mode="json")), release, environment)

    def open(self, release: str, *phases: Phase, environment: str = "") -> None:
        self.write(
            Opened(request=Request(service="shop", ref="v1", environments=("dev",), requester="d"), run=""), release
        )
        for phase in phases:
            self.write(Entered(phase=phase), release, environment)

    def serve(self, release: str, image: str) -> None:
        """Publish, deploy to blue in dev, route to it and settle there."""
        artifact = Artifact(repository="r/shop", version="1", digest=image, image=image)
        deployment = Deployment.model_validate(
            {"service": "shop", "environment": "dev", "release": release, "version": "1", "slot": "blue", "config": {},
             "artifact": artifact, "replicas": 1, "resources": {}, "runtime": {}}
        )  # fmt: skip
        replica = Replica.model_validate(
            {"id": "1", "name": "shop-dev-blue-0", "address": "10.0.0.1", "port": 80, "image": image, "service": "shop",
             "environment": "dev", "release": release, "version": "1", "slot": "blue", "token": 1}
        )  # fmt: skip
        self.open(release, "planned", "built", "deploying", environment="dev")
        self.done("publish", artifact, release)
        self.done("deploy", Deployed(deployment=deployment, replicas=(replica,)), release, "dev")
        self.done("shift", Routed(route=Route(name="shop-dev", port=1)), release, "dev")
        self.write(NowServing(settled=Settled(deployment=deployment, commit="c")), release, "dev")
        for phase in ("baking", "settled", "released"):
            self.write(Entered(phase=phase), release, "dev")  # type: ignore[arg-type]  # phases, all three


@pytest.fixture
def ledger() -> Ledger:
    """One release serves, another was aborted after its build."""
    ledger = Ledger()
    ledger.serve("r-old", IMAGES["old"])
    ledger.open("r-red", "planned", "aborted")
    return ledger


def owned(ledger: Ledger, **more: Any) -> Estate:
    return estate(ledger.entries, ("dev", "production"), **more)


def found(ledger: Ledger, *belongings: Belonging, **more: Any) -> list[tuple[str, str]]:
    return [(it.belonging.name, it.reason) for it in orphans(belongings, owned(ledger, **more))]


def container(name: str = "left", **more: Any) -> Belonging:
    known = {"id": name, "service": "shop", "environment": "dev", "release": "r-red"}
    return Belonging(kind="container", name=name, **{**known, **more})


def test_a_container_of_a_release_that_is_over_is_an_orphan_unless_it_stands(ledger: Ledger) -> None:
    assert found(ledger, container(), container("shop-dev-blue-0", release="r-old")) == [("left", "r-red is over")]


def test_a_replica_that_was_retired_stands_no_more(ledger: Ledger) -> None:
    ledger.done("retire", Retired(slot="blue"), "r-new", "dev")
    assert found(ledger, container("shop-dev-blue-0", release="r-old")) == [("shop-dev-blue-0", "r-old is over")]


def test_a_container_that_no_release_made_is_an_orphan(ledger: Ledger) -> None:
    said = "no release of this ledger made it"
    assert found(ledger, container(release="by hand"), container("bare", release="", service="")) == [
        ("bare", said), ("left", said),
    ]  # fmt: skip


def test_what_the_router_leads_to_is_for_a_reconciliation(ledger: Ledger) -> None:
    assert found(ledger, container(address="10.0.0.9"), addresses=["10.0.0.9"]) == []
    assert len(found(ledger, container(address="10.0.0.8"), addresses=["10.0.0.9"])) == 1


def test_what_a_release_under_way_made_is_its_own_however_dead_it_looks(ledger: Ledger) -> None:
    ledger.open("r-new", "planned", "built")
    assert found(ledger, container(release="r-new")) == []
    check = container("check", release="build", environment="build")
    assert found(ledger, check, container("by hand", release="?")) == []
    ledger.write(Entered(phase="aborted"), "r-new")
    assert len(found(ledger, container(release="r-new"), check)) == 2


def test_a_place_that_is_held_or_being_changed_is_left_alone(ledger: Ledger) -> None:
    assert found(ledger, container(), held=[("shop", "dev")]) == []
    assert len(found(ledger, container(), held=[("shop", "production")])) == 1
    ledger.write(Entered(phase="rolling back"), "r-old", "dev")
    assert found(ledger, container()) == []


def image(name: str, release: str, **more: Any) -> Belonging:
    return Belonging(kind="image", id=IMAGES[name], name=name, service="shop", release=release, **more)


def test_an_image_goes_when_its_release_is_over_and_never_published_it(ledger: Ledger) -> None:
    assert found(ledger, image("old", "r-old"), image("red", "r-red")) == [
        ("red", "r-red is over and never published it"),
    ]  # fmt: skip
    assert found(ledger, image("red", "r-red", in_use=True)) == []
    assert found(ledger, image("red", "unknown"), image("red", "")) == []


def test_an_image_that_was_found_published_stays(ledger: Ledger) -> None:
    artifact = Artifact(repository="r/shop", version="1", digest=IMAGES["red"], image=IMAGES["red"])
    ledger.done("build", Built.model_validate({"image": {"id": IMAGES["red"]}, "published": artifact}), "r-red")
    assert found(ledger, image("red", "r-red")) == []


def test_an_image_stays_while_another_release_may_build_on_its_layers(ledger: Ledger) -> None:
    ledger.open("r-new", "planned")
    assert found(ledger, image("red", "r-red")) == []


def test_a_network_goes_with_its_environment(ledger: Ledger) -> None:
    def network(environment: str, **more: Any) -> Belonging:
        return Belonging(kind="network", id=environment, name=environment, environment=environment, **more)

    there = [network(name) for name in ("dev", "production", "build", "")]
    assert found(ledger, *there, network("gone"), network("used", in_use=True)) == [
        ("gone", "there is no environment gone"),
    ]
    ledger.open("r-new", "planned")
    assert found(ledger, network("gone")) == []


def test_a_volume_goes_with_its_release(ledger: Ledger) -> None:
    def volume(release: str, **more: Any) -> Belonging:
        return Belonging(kind="volume", id=release, name=release, release=release, **more)

    ledger.open("r-new", "planned")
    there = [volume("r-red"), volume("r-new"), volume("", environment="dev"), volume("r-red", in_use=True)]
    assert found(ledger, *there) == [("r-red", "r-red is over")]


def route(name: str) -> Belonging:
    return Belonging(kind="route", id=name, name=name)


def test_a_route_without_anything_behind_it_is_an_orphan(ledger: Ledger) -> None:
    said = "nothing stands behind it"
    assert found(ledger, route("shop-dev"), route("shop-production"), route("blog-dev")) == [
        ("blog-dev", said), ("shop-production", said),
    ]  # fmt: skip
    assert found(ledger, route("shop-production"), held=[("shop", "production")]) == []
    ledger.open("r-new", "planned")
    assert found(ledger, route("shop-production")) == []


@pytest.mark.parametrize(("kind", "grace"), [("database", 60.0), ("object", HOUR)])
def test_what_names_no_owner_goes_when_nobody_uses_it_for_a_while(ledger: Ledger, kind: Any, grace: float) -> None:
    there = [Belonging(kind=kind, id=name, name=name, age=age, in_use=used) for name, age, used in (
        ("young", grace - 1, False), ("old", 2 * grace, False), ("used", 2 * HOUR, True))]  # fmt: skip
    assert found(ledger, *there) == [("old", f"whoever began it {grace / 30:.0f} min ago is gone")]
    ledger.open("r-new", "planned")
    assert len(found(ledger, *there)) == 1


def test_an_empty_ledger_owns_its_declared_environments() -> None:
    there = Belonging(kind="network", id="n", name="n", environment="dev")
    assert orphans([there], estate([], ["dev"])) == ()
    assert orphans([there], estate([], [])) == (Orphan(belonging=there, reason="there is no environment dev"),)


def test_the_place_whose_lease_guards_a_belonging_is_found(ledger: Ledger) -> None:
    known = owned(ledger)
    assert known.place(container()) == ("shop", "dev")
    assert known.place(route("shop-production")) == ("shop", "production")
    assert known.place(container(environment="build")) is None
    assert known.place(image("red", "r-red")) is None
