"""A verb that died between its intent and its outcome: what it did is found, what it did not do is done, and once."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import Conflict
from domain.facts import Done, Fact
from domain.release.artifact import Artifact, Deployment
from domain.release.outcomes import BackedUp, Deployed
from domain.release.plan import Plan, Request, Stage
from domain.release.route import Route
from domain.value import Value
from flows.ramp import endpoints
from flows.release import release
from tasks.back_up import back_up
from tasks.build import build
from tasks.check import check
from tasks.deploy import deploy
from tasks.migrate import migrate
from tasks.prepare import compute
from tasks.publish import publish
from tasks.retire import retire
from tasks.shift import attach, shift
from tasks.step import Warrant

if TYPE_CHECKING:
    from conftest import World

ADD = "-- interlock: phase=expand\nalter table orders add note text;"


class Died(BaseException):
    """A power cut."""


class Mortal:
    """A journal whose process dies once: after it wrote an intent, or before it writes an outcome, which is `lost`."""

    def __init__(self, journal: Any, dies: str) -> None:
        self._journal, self._dies = journal, dies
        self.lost: dict[str, Any] = {}

    def append(self, fact: Fact, **known: Any) -> object:
        if isinstance(fact, Done) and self._dies == "done":
            self._dies, self.lost = "", fact.outcome
            raise Died
        entry = self._journal.append(fact, **known)
        if fact.kind == self._dies:
            self._dies = ""
            raise Died
        return entry

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)


@dataclass
class Scene:
    """A shop that serves 1.0.0, and a release of 1.1.0 to dev that holds dev."""

    world: "World"
    warrant: Warrant
    plan: Plan
    counts: dict[str, int]

    @property
    def stage(self) -> Stage:
        return self.plan.stages[0]

    def die(self, call: "Call", dies: str = "done") -> dict[str, Any]:
        """Carry a verb out as far as an intent or an effect; returns the outcome that nobody wrote down."""
        journal = Mortal(self.world.desk.journal, dies)
        with pytest.raises(Died):
            call(replace(self.warrant, journal=journal))  # type: ignore[arg-type]  # as good as one
        return journal.lost

    def count(self, port: Any, method: str) -> None:
        """Count calls of a port's method under its name."""
        act = getattr(port, method)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.counts[method] = self.counts.get(method, 0) + 1
            return act(*args, **kwargs)

        setattr(port, method, counted)

    def artifact(self) -> Artifact:
        ports = self.world.desk.ports
        image = build(self.warrant, self.plan, ports.source, ports.builder, ports.registry).image
        return publish(self.warrant, self.plan, image, ports.builder, ports.registry)

    def deployment(self) -> Deployment:
        return self.plan.deployment(self.stage, self.artifact(), self.warrant.release)

    def candidate(self) -> Deployed:
        return deploy(self.warrant, self.deployment(), self.world.desk.ports)

    def route(self) -> Route:
        route = self.world.router.observe("shop-dev")
        assert route is not None
        return route.holding(self.stage.slot, endpoints(self.candidate().replicas))


@pytest.fixture
def scene(world: "World") -> Scene:
    release.fn("shop", "v1.0.0", "dev", "dora", "a test")
    world.source.commit("feat: notes", {"db/0002_note.up.sql": ADD, "app.py": "notes"}, tag="v1.1.0")
    desk = world.desk
    request = Request(service="shop", ref="v1.1.0", environments=("dev",), requester="dora")
    plan = compute(request, desk.service, desk.environments, desk.people, desk.ports, desk.journal)
    lease = desk.leases.take("shop", "dev", "r-2", "a test", 600)
    warrant = Warrant(
        journal=desk.journal, leases=desk.leases, release="r-2", service="shop", actor="dora", lease=lease
    )
    scene = Scene(world, warrant, plan, {})
    for port, method in (
        (desk.ports.builder, "build"), (desk.ports.builder, "push"), (world.databases["dev"], "backup"),
        (world.databases["dev"], "migrate"), (world.workload, "start"), (world.workload, "stop"),
        (world.workload, "run"), (world.router, "apply"),
    ):  # fmt: skip
        scene.count(port, method)
    return scene


Call = Callable[[Warrant], Value]
SEEN_BEFORE_ONLY = {"before": None}  # the fingerprint a migration found is gone with the process that saw it


def building(scene: Scene) -> Call:
    ports = scene.world.desk.ports
    return lambda warrant: build(warrant, scene.plan, ports.source, ports.builder, ports.registry)


def publishing(scene: Scene) -> Call:
    ports = scene.world.desk.ports
    image = build(scene.warrant, scene.plan, ports.source, ports.builder, ports.registry).image
    return lambda warrant: publish(warrant, scene.plan, image, ports.builder, ports.registry)


def backing_up(scene: Scene) -> Call:
    return lambda warrant: back_up(warrant, scene.stage, scene.world.databases["dev"], scene.world.store)


def migrating(scene: Scene) -> Call:
    [item] = scene.stage.schema_steps
    return lambda warrant: migrate(warrant, scene.plan, item, scene.world.databases["dev"])


def deploying(scene: Scene) -> Call:
    deployment = scene.deployment()
    return lambda warrant: deploy(warrant, deployment, scene.world.desk.ports)


def attaching(scene: Scene) -> Call:
    route = scene.route()
    return lambda warrant: attach(warrant, route, scene.world.router)


def shifting(scene: Scene) -> Call:
    route = attach(scene.warrant, scene.route(), scene.world.router).route.giving(scene.stage.slot, 10_000)
    return lambda warrant: shift(warrant, route, scene.world.router)


def retiring(scene: Scene) -> Call:
    route = attach(scene.warrant, scene.route(), scene.world.router).route.giving(scene.stage.slot, 10_000)
    world = scene.world
    return lambda warrant: retire(warrant, route, "blue", 0, "shop", world.router, world.workload)


def checking(scene: Scene) -> Call:
    candidate, asked = scene.candidate(), scene.plan.build_checks["unit"]
    return lambda warrant: check(
        warrant, "unit", asked, candidate.deployment, candidate.replicas, scene.world.desk.ports
    )


VERBS = {
    building: "build",
    publishing: "push",
    backing_up: "backup",
    migrating: "migrate",
    deploying: "start",
    attaching: "apply",
    shifting: "apply",
    retiring: "stop",
    checking: "run",
}
verbs = pytest.mark.parametrize(("prepare", "effect"), VERBS.items(), ids=[prepare.__name__ for prepare in VERBS])


def outcomes(scene: Scene) -> list[Done]:
    entries = scene.world.desk.journal.entries(release="r-2", kinds=("done",))
    return [entry.fact for entry in entries if isinstance(entry.fact, Done)]


@verbs
def test_an_effect_that_happened_is_found_and_not_repeated(
    scene: Scene, prepare: Callable[[Scene], Call], effect: str
) -> None:
    call = prepare(scene)
    before = scene.counts.get(effect, 0)
    lost = scene.die(call)
    assert scene.counts[effect] == before + 1
    found = call(scene.warrant).model_dump(mode="json")
    assert scene.counts[effect] == before + 1
    assert outcomes(scene)[-1].observed
    assert outcomes(scene)[-1].outcome == found
    assert found | SEEN_BEFORE_ONLY == lost | SEEN_BEFORE_ONLY


@verbs
def test_an_effect_that_never_happened_is_carried_out_once(
    scene: Scene, prepare: Callable[[Scene], Call], effect: str
) -> None:
    call = prepare(scene)
    before = scene.counts.get(effect, 0)
    scene.die(call, "intended")
    assert scene.counts.get(effect, 0) == before
    call(scene.warrant)
    assert scene.counts[effect] == before + 1
    assert not outcomes(scene)[-1].observed


def test_replicas_that_are_not_ready_yet_are_waited_for(scene: Scene) -> None:
    call = deploying(scene)
    scene.die(call)
    replica = next(r for r in scene.world.workload.running("shop", "dev") if r.version == "1.1.0")
    answers = iter([(503, "starting")])
    scene.world.probe.answers = lambda method, url, body: next(answers, None) if replica.address in url else None
    call(scene.warrant)
    assert not outcomes(scene)[-1].observed


@pytest.mark.parametrize("change", [{"config_digest": "x"}, {"image": f"sha256:{'0' * 64}"}, {"running": False}])
def test_replicas_that_are_not_what_was_wanted_are_not_taken_for_it(scene: Scene, change: dict[str, object]) -> None:
    call = deploying(scene)
    scene.die(call)
    replicas = scene.world.workload.replicas
    name = next(name for name, it in replicas.items() if it.version == "1.1.0")
    replicas[name] = replicas[name].model_copy(update=change)
    assert isinstance(call(scene.warrant), Deployed)
    assert scene.counts["start"] == 2
    assert replicas[name].running
    assert replicas[name].image != change.get("image")


def test_a_schema_that_was_changed_after_the_migration_is_not_taken_for_its_result(scene: Scene) -> None:
    call = migrating(scene)
    scene.die(call)
    scene.world.databases["dev"].execute("create table by_hand (id int)")
    with pytest.raises(Conflict, match="the schema is not what the last release left"):
        call(scene.warrant)


def test_a_dump_without_a_manifest_or_with_other_bytes_is_taken_again(scene: Scene) -> None:
    call, store = backing_up(scene), scene.world.store
    scene.die(call)
    [dump, manifest] = store.keys("backups/shop/dev/r-2/")
    assert manifest.endswith(".json")
    kept = store._objects.pop(manifest)  # the process died while it compared
    first = call(scene.warrant)
    assert scene.counts["backup"] == 2
    assert not outcomes(scene)[-1].observed
    assert isinstance(first, BackedUp)
    assert first.stored is not None
    assert first.stored.key != dump
    assert kept


def test_a_manifest_that_was_damaged_is_not_taken_for_one(scene: Scene) -> None:
    call, store = backing_up(scene), scene.world.store
    scene.die(call)
    [_, manifest] = store.keys("backups/shop/dev/r-2/")
    store._objects[manifest] = store._objects[manifest][:40]
    call(scene.warrant)
    assert scene.counts["backup"] == 2


def test_a_stored_backup_that_changed_is_not_taken_for_one(scene: Scene) -> None:
    call, store = backing_up(scene), scene.world.store
    scene.die(call)
    [dump, _] = store.keys("backups/shop/dev/r-2/")
    store._objects[dump] += b"rot"
    call(scene.warrant)
    assert scene.counts["backup"] == 2


def test_a_backup_of_another_schema_is_not_taken_for_one_of_this(scene: Scene) -> None:
    call = backing_up(scene)
    scene.die(call)
    scene.world.databases["dev"].execute("create table since (id int)")
    call(scene.warrant)
    assert scene.counts["backup"] == 2


def test_a_check_that_failed_leaves_evidence_and_has_not_passed(scene: Scene) -> None:
    call = checking(scene)
    scene.world.workload.exit_codes[("unit-tests",)] = 1

    class Cut(Mortal):
        def append(self, fact: Fact, **known: Any) -> object:
            if fact.kind == "failed":
                raise Died
            return super().append(fact, **known)

    with pytest.raises(Died):
        call(replace(scene.warrant, journal=Cut(scene.world.desk.journal, "")))  # type: ignore[arg-type]  # a journal
    assert any(key.endswith("-failed.log") for key in scene.world.store.keys("evidence/r-2/dev/unit-"))
    scene.world.workload.exit_codes.clear()
    call(scene.warrant)
    assert scene.counts["run"] == 2
    assert not outcomes(scene)[-1].observed


def test_evidence_about_other_replicas_proves_nothing_about_these(scene: Scene) -> None:
    scene.die(checking(scene))
    candidate = scene.candidate()
    others = tuple(replica.model_copy(update={"id": "another"}) for replica in candidate.replicas)
    asked = scene.plan.build_checks["unit"]
    check(scene.warrant, "unit", asked, candidate.deployment, others, scene.world.desk.ports)
    assert scene.counts["run"] == 2
