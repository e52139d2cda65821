"""Every plane on which the world can differ from the ledger, and what is done about it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.environment.comparison import compare
from domain.environment.drift import (
    ApplyRoute,
    Drift,
    Repair,
    ReplaceReplicas,
    Seen,
    StartMissing,
    StopStray,
    report_hash,
)
from domain.release.artifact import Artifact, Deployment, Replica
from domain.release.outcomes import Deployed
from domain.release.plan import Settled
from domain.release.route import Endpoint, Route
from domain.release.standing import Standing

IMAGE = f"sha256:{'b' * 64}"
OTHER = f"sha256:{'0' * 64}"
NAMES = ("shop-green-0", "shop-green-1")


def deployment() -> Deployment:
    return Deployment.model_validate(
        {
            "service": "shop",
            "environment": "production",
            "release": "r-2",
            "version": "1.1.0",
            "slot": "green",
            "artifact": Artifact(repository="reg/shop", version="1.1.0", digest=f"sha256:{'a' * 64}", image=IMAGE),
            "replicas": 2,
            "resources": {},
            "runtime": {},
            "config": {"GREETING": "welcome"},
        }
    )


def replica(name: str, number: int = 1, **changes: object) -> Replica:
    known = {
        "id": f"id of {name}",
        "name": name,
        "address": f"10.0.0.{number}",
        "port": 8080,
        "image": IMAGE,
        "service": "shop",
        "environment": "production",
        "release": "r-2",
        "version": "1.1.0",
        "slot": "green",
        "token": 3,
        "config_digest": deployment().config_digest,
    }
    return Replica.model_validate({**known, **changes})


def endpoint(it: Replica) -> Endpoint:
    return Endpoint(name=it.name, address=it.address, port=it.port)


@dataclass
class Scene:
    """Two replicas of 1.1.0 in green with all traffic; change the world, then look."""

    replicas: dict[str, Replica] = field(default_factory=lambda: {n: replica(n, i) for i, n in enumerate(NAMES, 1)})
    fingerprint: str | None = "f" * 64
    migrations: tuple[int, ...] | None = (1, 2)

    def __post_init__(self) -> None:
        self.recorded = tuple(self.replicas.values())
        self.told = Route(
            name="shop-production", port=18080, green=tuple(map(endpoint, self.recorded)), green_share=10_000
        )
        self.route: Route | None = self.told
        self.stands = Standing(
            route=self.told,
            green=Deployed(deployment=deployment(), replicas=self.recorded),
            fingerprint="f" * 64,
            migrations=(1, 2),
            token=3,
        )

    def look(self) -> tuple[Drift, ...]:
        seen = Seen(
            replicas=tuple(self.replicas.values()),
            route=self.route,
            fingerprint=self.fingerprint,
            migrations=self.migrations,
        )
        return compare(self.stands, seen)

    def change(self, name: str, **changes: object) -> None:
        self.replicas[name] = Replica.model_validate({**self.replicas[name].model_dump(), **changes})

    def mend(self, repair: Repair) -> None:
        """Do what the adapters would: a replica that is started has a new address."""
        match repair:
            case StartMissing(deployment=wanted):
                for number, name in enumerate(NAMES, 1):
                    if name not in self.replicas or not self.replicas[name].running:
                        self.replicas[name] = replica(name, 100 + number)
                self._record(wanted)
            case ReplaceReplicas(deployment=wanted, replicas=wrong, around=around):
                assert around is None or not {e.name for e in around.green} & {it.name for it in wrong}
                for it in wrong:
                    self.replicas[it.name] = replica(it.name, 200)
                self.mend(StartMissing(deployment=wanted))
            case ApplyRoute(route=route):
                self.route = route
                self.stands = self.stands.model_copy(update={"route": route})
            case StopStray(replica=stray):
                del self.replicas[stray.name]

    def _record(self, wanted: Deployment) -> None:
        ours = tuple(self.replicas[name] for name in NAMES)
        self.stands = self.stands.model_copy(update={"green": Deployed(deployment=wanted, replicas=ours)})


@pytest.fixture
def scene() -> Scene:
    return Scene()


def only(drifts: tuple[Drift, ...]) -> Drift:
    [drift] = drifts
    return drift


def test_a_world_that_is_as_recorded_shows_no_drift(scene: Scene) -> None:
    assert scene.look() == ()
    assert compare(Standing(), Seen()) == ()


def test_entries_from_before_config_digests_were_recorded_are_read_and_show_no_drift(scene: Scene) -> None:
    old = [r.model_dump(exclude={"config_digest"}) for r in scene.recorded]
    scene.stands = scene.stands.model_copy(
        update={"green": Deployed.model_validate({"deployment": deployment(), "replicas": old})}
    )
    assert scene.look() == ()


def test_a_replica_that_is_gone_is_started_again(scene: Scene) -> None:
    del scene.replicas[NAMES[1]]
    drift = only(scene.look())
    assert (drift.plane, drift.expected) == ("replicas", "2 of 1.1.0 in slot green")
    assert drift.seen == "1 running: shop-green-1 is gone"
    assert drift.repair == StartMissing(deployment=deployment())


def test_a_replica_that_is_stopped_is_started_again(scene: Scene) -> None:
    scene.change(NAMES[0], running=False, address="")
    drift = only(scene.look())
    assert drift.seen == "1 running: shop-green-0 is stopped"
    assert isinstance(drift.repair, StartMissing)


def test_other_bytes_under_the_right_name_are_replaced_around_the_others(scene: Scene) -> None:
    scene.change(NAMES[0], image=OTHER)
    drift = only(scene.look())
    assert (drift.plane, drift.expected, drift.seen) == (
        "image",
        "shop-green-0 of image sha256:bbbbbbbbbbbb",
        "image sha256:000000000000",
    )
    assert isinstance(drift.repair, ReplaceReplicas)
    assert drift.repair.around is not None
    assert [e.name for e in drift.repair.around.green] == ["shop-green-1"]


def test_another_configuration_is_its_own_plane(scene: Scene) -> None:
    scene.change(NAMES[0], config_digest="c" * 64)
    drift = only(scene.look())
    assert (drift.plane, drift.seen) == ("config", "configuration cccccccccccc")
    assert isinstance(drift.repair, ReplaceReplicas)
    scene.change(NAMES[0], image=OTHER)
    assert [drift.plane for drift in scene.look()] == ["image", "config"]


def test_two_hashes_that_begin_alike_are_two(scene: Scene) -> None:
    scene.change(NAMES[0], image=f"{IMAGE[:-1]}0")
    assert only(scene.look()).plane == "image"


def test_wrong_replicas_are_replaced_together_before_missing_ones_are_started(scene: Scene) -> None:
    # starting a deployment replaces the wrong ones too: they must be off the router by then
    scene.change(NAMES[0], image=OTHER)
    del scene.replicas[NAMES[1]]
    drifts = scene.look()
    assert [type(drift.repair) for drift in drifts] == [ReplaceReplicas, StartMissing]
    assert isinstance(drifts[0].repair, ReplaceReplicas)
    assert drifts[0].repair.around is None


def test_a_replica_of_another_release_is_replaced(scene: Scene) -> None:
    scene.change(NAMES[0], release="r-1")
    assert only(scene.look()).seen == "release r-1"


def test_the_last_replica_of_a_slot_is_replaced_without_a_detour(scene: Scene) -> None:
    del scene.replicas[NAMES[1]]
    scene.stands = scene.stands.model_copy(
        update={"green": Deployed(deployment=deployment(), replicas=scene.recorded[:1])}
    )
    scene.change(NAMES[0], image=OTHER)
    [wrong, _] = scene.look()
    assert isinstance(wrong.repair, ReplaceReplicas)
    assert wrong.repair.around is None


def test_what_nobody_deployed_is_stopped(scene: Scene) -> None:
    scene.replicas["by-hand"] = replica("by-hand", 9, version="", slot="blue")
    drift = only(scene.look())
    assert (drift.plane, drift.expected, drift.seen) == (
        "replicas", "nothing else", "by-hand (no version) runs in slot blue",
    )  # fmt: skip
    assert drift.repair == StopStray(replica=scene.replicas["by-hand"])


def test_a_stray_under_a_token_this_ledger_never_gave_is_for_a_person(scene: Scene) -> None:
    scene.replicas["theirs"] = replica("theirs", 9, token=4)
    drift = only(scene.look())
    assert drift.repair is None
    assert "another ledger" in drift.reason


@pytest.mark.parametrize(
    ("change", "expected", "found"),
    [
        ({"green_share": 4000}, "green's share 100 %", "green's share 40 %"),
        ({"segments": {"beta": "blue"}}, "segments none", "segments beta to blue"),
        ({"health": "/"}, "health check /healthz", "health check /"),
        ({"port": 1}, "port 18080", "port 1"),
        (
            {"blue": (Endpoint(name="x", address="10.9.9.9", port=1),)},
            "slot blue: nobody",
            "slot blue: x at 10.9.9.9:1",
        ),
    ],
)
def test_a_route_that_was_changed_is_applied_again(
    scene: Scene, change: dict[str, object], expected: str, found: str
) -> None:
    scene.route = scene.told.model_copy(update=change)
    drift = only(scene.look())
    assert (drift.plane, drift.expected, drift.seen) == ("route", expected, found)
    assert drift.repair == ApplyRoute(route=scene.told)


def test_a_route_that_the_router_lost_is_applied_again(scene: Scene) -> None:
    scene.route = None
    assert only(scene.look()).repair == ApplyRoute(route=scene.told)


def test_a_replica_that_came_back_elsewhere_is_led_to(scene: Scene) -> None:
    # after the engine restarts every container is back by itself, at another address
    scene.change(NAMES[0], address="10.0.0.77")
    drift = only(scene.look())
    assert drift.plane == "route"
    assert isinstance(drift.repair, ApplyRoute)
    assert [e.address for e in drift.repair.route.green] == ["10.0.0.77", "10.0.0.2"]


def test_a_route_that_no_release_opened_is_left_to_people(scene: Scene) -> None:
    scene.stands = Standing(token=3)
    scene.replicas = {}
    drift = only(scene.look())
    assert (drift.plane, drift.repair) == ("route", None)


def test_the_schema_is_never_repaired(scene: Scene) -> None:
    scene.fingerprint = "e" * 64
    drift = only(scene.look())
    assert (drift.plane, drift.expected, drift.seen) == (
        "schema",
        "fingerprint ffffffffffff",
        "fingerprint eeeeeeeeeeee",
    )
    assert drift.repair is None
    assert "never changed to fit a record" in drift.reason
    scene.fingerprint = None
    assert only(scene.look()).seen == "no database"


@pytest.mark.parametrize(
    ("there", "seen"), [((1,), "no row of them"), (None, "no row of them"), ((1, 2, 7), "migrations 0007 too")]
)
def test_rows_of_migrations_that_are_lost_or_strange_are_for_a_person(
    scene: Scene, there: tuple[int, ...] | None, seen: str
) -> None:
    scene.migrations = there
    drift = only(scene.look())
    assert (drift.plane, drift.seen, drift.repair) == ("schema", seen, None)


def test_a_database_that_was_migrated_before_interlock_came_is_no_drift(scene: Scene) -> None:
    scene.stands = scene.stands.model_copy(update={"migrations": (3,)})
    scene.migrations = (1, 2, 3)
    assert scene.look() == ()
    scene.stands = scene.stands.model_copy(update={"migrations": ()})
    assert scene.look() == ()


def test_the_schema_that_the_last_release_saw_counts_where_none_was_migrated(
    scene: Scene, settled: Callable[..., Settled]
) -> None:
    last = settled("1.1.0", "green").model_copy(update={"fingerprint": "d" * 64})
    scene.stands = scene.stands.model_copy(update={"fingerprint": None, "settled": (last,)})
    assert only(scene.look()).expected == "fingerprint dddddddddddd"


def test_a_report_is_named_by_its_content(scene: Scene) -> None:
    scene.route = None
    first = report_hash(scene.look())
    assert first == report_hash(scene.look())
    del scene.replicas[NAMES[0]]
    assert report_hash(scene.look()) != first


def test_a_row_says_what_will_be_done_or_who_must_decide(scene: Scene) -> None:
    scene.route, scene.fingerprint = None, "e" * 64
    said = [drift.row["repair"] for drift in scene.look()]
    assert said[0] == "apply route shop-production"
    assert said[1].startswith("a person must decide: ")


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("lose"), st.sampled_from(NAMES)),
        st.tuples(st.just("stop"), st.sampled_from(NAMES)),
        st.tuples(st.just("swap"), st.sampled_from(NAMES)),
        st.tuples(st.just("move"), st.sampled_from(NAMES)),
        st.tuples(st.just("stray"), st.sampled_from(("a", "b"))),
        st.tuples(st.just("share"), st.integers(0, 9_999)),
        st.tuples(st.just("unroute"), st.none()),
    ),
    max_size=6,
)


def happen(scene: Scene, what: str, which: object) -> None:
    match what, which:
        case "lose", str(name):
            scene.replicas.pop(name, None)
        case (("stop" | "swap" | "move"), str(name)) if name in scene.replicas:
            changes = {"stop": {"running": False}, "swap": {"image": OTHER}, "move": {"address": "10.1.1.1"}}
            scene.change(name, **changes[what])
        case "stray", str(name):
            scene.replicas[name] = replica(name, 50)
        case "share", int(share) if scene.route:
            scene.route = scene.route.model_copy(update={"green_share": share})
        case "unroute", _:
            scene.route = None


@given(ACTS)
def test_whatever_happened_the_repairs_lead_back_and_none_is_needed_twice(acts: list[tuple[str, object]]) -> None:
    scene = Scene()
    for act in acts:
        happen(scene, *act)
    done: list[Repair] = []
    while drifts := scene.look():
        repair = drifts[0].repair
        assert repair is not None
        assert repair not in done
        done.append(repair)
        scene.mend(repair)
    assert len(done) <= len(acts) + 2
