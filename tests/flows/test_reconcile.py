"""The world is held against the ledger, and brought back on request: plane by plane, and only as people agreed."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from prefect.exceptions import Pause

from cli.find import waiting
from domain.environment.drift import Drift, report_hash
from domain.errors import Conflict, Invalid, Refused, Rejected
from domain.facts import Compared, Entered
from domain.policy.approval import Approval, Gate, Statement
from domain.policy.people import People, Person
from domain.release.artifact import Replica
from domain.release.recall import comparison_of, open_gate
from domain.release.route import Route
from flows.reconcile import reconcile
from flows.release import release
from flows.rollback import rollback
from tasks.approve import hand_in

if TYPE_CHECKING:
    from conftest import World

RUN = UUID("11111111-2222-3333-4444-555555555555")
NAME = "shop-production-reconcile-11111111"
SAME = "shop in production: the world is as the ledger says"
LATER = datetime(2100, 1, 1, tzinfo=UTC)
OTHER = f"sha256:{'0' * 64}"


def look(repair: bool = False) -> str:
    return reconcile.fn("shop", "production", repair, "dora", "a test")


def go(tag: str) -> str:
    return release.fn("shop", tag, "production", "dora", "a test")


@pytest.fixture
def shop(world: "World", monkeypatch: pytest.MonkeyPatch) -> "World":
    """A shop that serves 1.0.0 from two replicas in production; every look comes from the same flow run."""
    monkeypatch.setattr("flows.reconcile.uuid4", lambda: RUN)
    go("v1.0.0")
    return world


def change(world: "World", name: str, **changes: object) -> Replica:
    """Change a replica in production, as somebody at the engine would."""
    world.workload.replicas[name] = world.workload.replicas[name].model_copy(update=changes)
    return world.workload.replicas[name]


def lose(world: "World") -> None:
    del world.workload.replicas["shop-production-blue-0"]


def stop(world: "World") -> None:
    change(world, "shop-production-blue-0", running=False, address="")


def swap(world: "World") -> None:
    change(world, "shop-production-blue-0", image=OTHER)


def reconfigure(world: "World") -> None:
    change(world, "shop-production-blue-1", config_digest="x")


def swap_all(world: "World") -> None:
    for number in (0, 1):
        change(world, f"shop-production-blue-{number}", image=OTHER)


def start_one_more(world: "World") -> None:
    known = world.workload.replicas["shop-production-blue-0"]
    stray = known.model_copy(update={"id": "by-hand", "name": "by-hand", "slot": "green", "address": "10.9.9.9"})
    world.workload.replicas["by-hand"] = stray


def move_traffic(world: "World") -> None:
    _put(world, _route(world).giving("green", 4000))


def forget_route(world: "World") -> None:
    world.router._routes.clear()


def move_addresses(world: "World") -> None:
    """Restart the engine: everything is back, elsewhere."""
    for number in (0, 1):
        change(world, f"shop-production-blue-{number}", address=f"10.8.0.{number}")


def _route(world: "World") -> Route:
    route = world.router.observe("shop-production")
    assert route is not None
    return route


def _put(world: "World", route: Route) -> None:
    world.router._routes[route.name] = route


WAYS: dict[Callable[["World"], None], str] = {
    lose: "1 difference between ledger and world: replicas",
    stop: "1 difference between ledger and world: replicas",
    swap: "1 difference between ledger and world: image",
    reconfigure: "1 difference between ledger and world: config",
    swap_all: "2 differences between ledger and world: image",
    start_one_more: "1 difference between ledger and world: replicas",
    move_traffic: "1 difference between ledger and world: route",
    forget_route: "1 difference between ledger and world: route",
    move_addresses: "1 difference between ledger and world: route",
}
ways = pytest.mark.parametrize(("happen", "says"), WAYS.items(), ids=[way.__name__ for way in WAYS])


def picture(world: "World") -> tuple[object, ...]:
    return tuple(world.workload.running("shop", "production")), world.router.observe("shop-production")


@ways
def test_a_look_names_what_differs_and_changes_nothing(
    shop: "World", happen: Callable[["World"], None], says: str
) -> None:
    happen(shop)
    before = picture(shop)
    assert look() == f"shop in production: {says}"
    assert picture(shop) == before
    assert shop.desk.leases.holder("shop", "production") is None


@ways
def test_a_repair_brings_the_world_back_and_the_ledger_knows(
    shop: "World", happen: Callable[["World"], None], says: str
) -> None:
    happen(shop)
    assert look(repair=True) == SAME
    assert shop.serving("production") == ("1.0.0", 2, 10_000)
    places = {(r.name, r.address) for r in shop.workload.running("shop", "production")}
    assert {(e.name, e.address) for e in _route(shop).blue} == places
    assert shop.standing("production").route == _route(shop)
    assert look() == SAME
    assert shop.desk.leases.holder("shop", "production") is None


def test_a_world_that_is_as_recorded_is_not_touched(shop: "World") -> None:
    before, effects = picture(shop), len(shop.desk.journal.entries(kinds=("intended",)))
    assert look(repair=True) == SAME
    assert picture(shop) == before
    assert len(shop.desk.journal.entries(kinds=("intended",))) == effects
    assert comparison_of(shop.desk.journal.entries(release=NAME)) == Compared(drifts=(), reason="a test", run=str(RUN))


def test_users_are_led_around_a_wrong_replica_before_it_is_stopped(shop: "World") -> None:
    swap(shop)
    halt, led = shop.workload.stop, []

    def watch(replicas: tuple[Replica, ...], grace: float, token: int) -> None:
        led.append(({r.name for r in replicas}, {e.name for e in _route(shop).blue}))
        halt(replicas, grace, token)

    shop.workload.stop = watch  # type: ignore[method-assign, assignment]  # and does it
    look(repair=True)
    assert led == [({"shop-production-blue-0"}, {"shop-production-blue-1"})]


def test_a_stray_is_off_the_route_before_it_is_stopped(shop: "World") -> None:
    start_one_more(shop)
    route = _route(shop)
    stray = route.blue[0].model_copy(update={"name": "by-hand", "address": "10.9.9.9"})
    _put(shop, route.holding("green", (stray,)).giving("green", 5000))
    halt, share = shop.workload.stop, []
    shop.workload.stop = lambda *args: (share.append(_route(shop).share("blue")), halt(*args))[1]  # type: ignore[method-assign]
    assert look(repair=True) == SAME
    assert share == [10_000]


def test_the_schema_is_shown_and_left_to_people(shop: "World") -> None:
    shop.databases["production"].execute("create table by_hand (id int)")
    before = shop.databases["production"].fingerprint()
    assert look(repair=True) == "shop in production: 1 difference between ledger and world: schema"
    assert shop.databases["production"].fingerprint() == before
    lose(shop)
    assert look(repair=True) == "shop in production: 1 difference between ledger and world: schema"
    assert shop.serving("production") == ("1.0.0", 2, 10_000)


def test_a_repair_that_does_not_help_is_not_tried_for_ever(shop: "World") -> None:
    lose(shop)
    shop.workload.crashed.add("1.0.0")
    with pytest.raises(Conflict, match=r"did not help to start what 1\.0\.0 lacks in slot blue"):
        look(repair=True)
    assert shop.desk.leases.holder("shop", "production") is None


def test_a_replica_that_never_becomes_ready_fails_the_repair(shop: "World") -> None:
    lose(shop)
    shop.workload.never_ready.add("1.0.0")
    with pytest.raises(Rejected, match="not ready"):
        look(repair=True)


def test_it_refuses_while_a_release_changes_the_environment(shop: "World") -> None:
    shop.source.commit("feat: more", {"app.py": "more"}, tag="v1.1.0")
    for phase in ("planned", "built", "deploying"):
        shop.desk.journal.append(
            Entered(phase=phase), actor="dora", release="r-2", service="shop", environment="production"
        )  # type: ignore[arg-type]  # phases, all three
    with pytest.raises(Refused, match="r-2 is changing production"):
        look(repair=True)
    shop.desk.leases.take("shop", "production", "r-2", "releasing", 60)
    with pytest.raises(Conflict, match="held by r-2"):
        look(repair=True)


def test_who_asks_for_a_repair_must_be_known_and_whoever_looks_need_not(shop: "World") -> None:
    with pytest.raises(Invalid, match="mallory"):
        reconcile.fn("shop", "production", True, "mallory")
    with pytest.raises(Invalid, match="requester"):
        reconcile.fn("shop", "production", True)
    with pytest.raises(Invalid, match="no environment 'moon'"):
        reconcile.fn("shop", "moon")
    assert reconcile.fn("shop", "production") == SAME


def test_releases_and_rollbacks_go_on_from_a_repaired_world(shop: "World") -> None:
    lose(shop)
    move_traffic(shop)
    look(repair=True)
    shop.source.commit("feat: more", {"app.py": "more"}, tag="v1.1.0")
    shop.desk.environments["production"].rollout.__dict__["evidence"] = "checks"  # nobody visits in this test
    go("v1.1.0")
    assert shop.serving("production") == ("1.1.0", 2, 10_000)
    del shop.workload.replicas["shop-production-green-1"]
    look(repair=True)
    rollback.fn("shop", "production", "a test", "dora")
    assert shop.serving("production") == ("1.0.0", 2, 10_000)
    assert look() == SAME


# where people must agree


class Signers:
    """Two people with keys, and the waiting room in which a flow is suspended."""

    def __init__(self, world: "World", folder: Path) -> None:
        self.world, self.folder = world, folder
        self.shown: list[str] = []
        people = [Person(name="dora", email="dora@example.org", roles=("tech-lead",), keys=(self.key("dora"),))]
        people.append(Person(name="ada", email="ada@example.org", roles=("tech-lead",), keys=(self.key("ada"),)))
        strict = world.desk.environments["production"].model_copy(update={"seats": (("tech-lead",),)})
        self.desk = replace(
            world.desk,
            catalog=world.desk.catalog.model_copy(
                update={
                    "environments": {**world.desk.environments, "production": strict},
                    "people": People(people=tuple(people)),
                }
            ),
        )

    def key(self, name: str) -> str:
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
        return path.with_suffix(".pub").read_text()

    def suspend(self, form: object, timeout: int, key: str) -> None:
        self.shown.append(key)
        raise Pause(key)

    @property
    def gate(self) -> Gate:
        gate = open_gate(self.desk.journal.entries(release=NAME))
        assert gate is not None
        return gate

    def sign(self, name: str, decision: str = "approve") -> None:
        gate = self.gate
        about = gate.model_dump(include={"release", "service", "environment", "question", "plan", "digest"})
        about |= {"decision": decision, "approver": name, "nonce": gate.plan[:32], "expires": LATER}
        statement = Statement.model_validate(about)
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "interlock-approval", "-f", str(self.folder / name)]
        signed = subprocess.run(command, input=statement.text.encode(), capture_output=True, check=True).stdout
        approval = Approval(statement=statement, signature=signed.decode())
        hand_in(approval, gate, self.desk.people, self.desk.journal, self.desk.ports.clock)


@pytest.fixture
def signers(shop: "World", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signers:
    signers = Signers(shop, tmp_path)
    monkeypatch.setattr("flows.reconcile.connect", lambda name: signers.desk)
    monkeypatch.setattr("flows.gate.suspend_flow_run", signers.suspend)
    return signers


def wait_for_people() -> None:
    with pytest.raises(Pause):
        look(repair=True)


def test_where_there_are_seats_nothing_is_mended_before_it_is_agreed_on(shop: "World", signers: Signers) -> None:
    lose(shop)
    before = picture(shop)
    wait_for_people()
    assert picture(shop) == before
    assert signers.gate.question == "reconcile"
    assert signers.gate.plan == report_hash(_seen(shop))
    assert signers.gate.digest == shop.standing("production").slot("blue").deployment.artifact.digest  # type: ignore[union-attr]
    assert shop.desk.leases.holder("shop", "production") is None  # a release need not wait for this
    assert ("ops", "approval needed") in shop.said()
    signers.sign("ada")
    assert look(repair=True) == SAME
    assert shop.serving("production") == ("1.0.0", 2, 10_000)


def _seen(world: "World") -> tuple[Drift, ...]:
    compared = comparison_of(world.desk.journal.entries(release=NAME))
    assert compared is not None
    return compared.drifts


def test_a_run_that_is_resumed_without_a_signature_only_waits_again(shop: "World", signers: Signers) -> None:
    lose(shop)
    wait_for_people()
    before = len(shop.desk.journal.entries(release=NAME, kinds=("compared", "gate opened", "announced")))
    wait_for_people()
    assert len(shop.desk.journal.entries(release=NAME, kinds=("compared", "gate opened", "announced"))) == before
    assert waiting(shop.desk.journal.entries(release=NAME)) == signers.gate
    signers.sign("ada")
    assert look(repair=True) == SAME


def test_a_look_needs_no_agreement(shop: "World", signers: Signers) -> None:
    lose(shop)
    assert look() == "shop in production: 1 difference between ledger and world: replicas"
    assert signers.shown == []


def test_whoever_asks_for_a_repair_cannot_agree_to_it(shop: "World", signers: Signers) -> None:
    lose(shop)
    wait_for_people()
    with pytest.raises(Refused, match="dora asked for this release or wrote part of it"):
        signers.sign("dora")
    wait_for_people()


def test_a_signature_is_worth_nothing_once_the_world_has_changed(shop: "World", signers: Signers) -> None:
    lose(shop)
    wait_for_people()
    signers.sign("ada")
    move_traffic(shop)
    wait_for_people()
    assert signers.gate.plan == report_hash(_seen(shop))
    assert shop.workload.replicas.keys() == {"shop-dev-blue-0", "shop-production-blue-1"}
    signers.sign("ada")
    assert look(repair=True) == SAME


def test_a_no_ends_it(shop: "World", signers: Signers) -> None:
    lose(shop)
    wait_for_people()
    signers.sign("ada", "reject")
    with pytest.raises(Refused, match="ada rejected"):
        look(repair=True)
