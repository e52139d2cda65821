"""An invariant that cannot fail proves nothing: each is given a world in which it is broken."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bench.chaos.invariants import INVARIANTS, Candidate, Evidence, broken
from bench.chaos.watch import Effect, effect_of
from bench.chaos.world import ROUTE, Container, Row, Schema, World, phases

OLD, NEW = "sha256:old", "sha256:new"
LEASE = {"service": "shop", "environment": "chaos", "owner": "r2/run 7/a", "reason": "releasing", "token": 3, "left": 9}


def container(slot: str, number: int, version: str, image: str, state: str = "running") -> Container:
    labels = {"slot": slot, "version": version, "config": "c", "port": "8080", "release": f"r-{version}"}
    address = f"10.0.{1 if slot == 'blue' else 2}.{number}"
    return Container(f"shop-{slot}-{number}", state, image, address, {f"interlock.{k}": v for k, v in labels.items()})


def world(slot: str, version: str, image: str, **more: Any) -> World:
    """Two replicas of one version, in one slot with all traffic."""
    replicas = tuple(container(slot, number, version, image) for number in (1, 2))
    share = {"blue": "0", "green": "10000"}[slot]
    members = {"blue": frozenset[str](), "green": frozenset[str]()}
    members[slot] = frozenset(f"{it.address}:8080" for it in replicas)
    schema = Schema("f0", frozenset({"orders.id"}), {1: "applied"})
    seen = World(share, share, members, {f"200 {version}": 40}, replicas, (), ("a", "b"), frozenset({ROUTE}), schema)
    return replace(seen, **more)


BEFORE = world("blue", "1.0", OLD)
EXPANDED = Schema("f1", frozenset({"orders.id", "orders.note"}), {1: "applied", 2: "applied"})


def row(seq: int, kind: str, token: int = 0, release: str = "r2", environment: str = "chaos", **fact: Any) -> Row:
    return {
        "seq": seq, "kind": kind, "release": release, "service": "shop", "environment": environment, "token": token,
        "fact": fact, "at": "2026-11-21T12:00:00.000Z",
    }  # fmt: skip


ROWS = (
    row(1, "opened", environment=""),
    row(2, "announced", environment="", occasion="started", about=""),
    row(3, "lease taken", 4),
    row(4, "intended", 4, key="k1", verb="deploy"),
    row(5, "done", 4, key="k1", verb="deploy"),
    row(6, "announced", environment="", occasion="succeeded", about=""),
    row(7, "entered", environment="", phase="released"),
)
GOOD = Evidence(
    before=BEFORE,
    after=world("green", "2.0", NEW, schema=EXPANDED),
    candidate=Candidate("2.0", NEW, frozenset({"orders.note"}), frozenset({2})),
    rows=ROWS,
    effects=(Effect("create", "g-0", "r2"), Effect("start", "g-0", "r2"), Effect("push", "shop:2.0", "")),
    shares=(0, 5000, 10000),
    acknowledged=frozenset({"1"}),
    orders=frozenset({"1", "2"}),
)


def after(**more: Any) -> Evidence:
    return replace(GOOD, after=replace(GOOD.after, **more))


def more_rows(*rows: Row) -> Evidence:
    return replace(GOOD, rows=(*ROWS, *rows))


def last_phase(phase: str) -> tuple[Row, ...]:
    return (*ROWS[:-1], row(7, "entered", environment="", phase=phase))


def test_a_good_end_breaks_nothing() -> None:
    assert broken(GOOD) == []


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(replace(GOOD, after=BEFORE, shares=(0, 5000, 0)), id="as before"),
        pytest.param(replace(GOOD, after=replace(BEFORE, schema=EXPANDED)), id="back, and the schema stays expanded"),
        pytest.param(replace(GOOD, failures={"order 502": 3}, unnoticed=False), id="the router itself was killed"),
        pytest.param(
            replace(GOOD, after=replace(BEFORE, leases=({**LEASE, "left": 9e5},)),
                    rows=(*last_phase("stuck"), row(8, "announced", occasion="needs a person", about=""))),
            id="parked for a person",
        ),
        pytest.param(
            replace(GOOD, engine_died=True, effects=(Effect("start", "g-0", "r2"),) * 2), id="the engine restarts them"
        ),
        pytest.param(
            replace(GOOD, effects=(Effect("create", "g-0", "r2"),) * 2), id="a container that never started is replaced"
        ),
    ],
)  # fmt: skip
def test_every_legal_end_is_accepted(evidence: Evidence) -> None:
    assert broken(evidence) == []


PLANTED: dict[str, list[Evidence]] = {
    "it comes to rest": [replace(GOOD, quiet="not at rest"), after(problems=("router: no answer",))],
    "one version serves": [
        after(share="5000"),
        after(share_on_disk="0"),
        after(answers={"200 2.0": 39, "200 1.0": 1}),
        after(answers={"503 ": 40}),
        after(answers={"200 1.0": 40}),
        after(members={"blue": frozenset(), "green": frozenset({"10.0.2.1:8080"})}),
        after(members={**GOOD.after.members, "blue": frozenset({"10.0.1.1:8080"})}),
    ],
    "the state is old or new": [
        replace(GOOD, after=world("green", "3.0", NEW, schema=EXPANDED)),
        replace(GOOD, after=world("green", "2.0", OLD, schema=EXPANDED)),
        after(containers=GOOD.after.containers[:1]),
        after(containers=tuple(replace(it, labels={**it.labels, "interlock.config": "d"}) for it in BEFORE.containers)),
        after(schema=BEFORE.schema),
        after(schema=Schema("f2", EXPANDED.columns | {"orders.other"}, EXPANDED.migrated)),
        after(schema=Schema("f2", frozenset({"orders.note"}), EXPANDED.migrated)),
        after(schema=Schema("f1", EXPANDED.columns, BEFORE.schema.migrated)),
        after(schema=Schema("f1", EXPANDED.columns, {1: "applied", 2: "running"})),
        replace(GOOD, after=replace(BEFORE, schema=replace(BEFORE.schema, fingerprint="f9"))),
    ],
    "no order is lost": [replace(GOOD, acknowledged=frozenset({"1", "3"}))],
    "effects happen once": [
        replace(GOOD, effects=(Effect("start", "g-0", "r2"),) * 2),
        replace(GOOD, effects=(Effect("push", "shop:2.0", ""),) * 2, engine_died=True),
    ],
    "traffic turns once": [
        replace(GOOD, shares=(0, 5000, 0, 5000, 10000)),
        replace(GOOD, shares=(10000, 0, 10000, 0)),
    ],
    "the judge can be replayed": [replace(GOOD, verdicts=("r2 at 5000: promote instead of hold",))],
    "the chain holds": [replace(GOOD, chain=("row 3 was edited",))],
    "facts happen once": [
        more_rows(row(8, "done", 4, key="k1", verb="deploy")),
        more_rows(row(8, "intended", 4, key="k1", verb="deploy")),
        more_rows(row(8, "entered", environment="", phase="released")),
        more_rows(row(8, "announced", environment="", occasion="succeeded", about="")),
        more_rows(row(8, "opened", environment="")),
    ],
    "old tokens write nothing": [
        more_rows(row(8, "lease taken", 5), row(9, "done", 4, key="k2", verb="shift")),
        more_rows(row(8, "lease taken", 4)),
    ],
    "nothing is left behind": [
        after(containers=(*GOOD.after.containers, container("blue", 1, "1.0", OLD, "exited"))),
        after(containers=(*GOOD.after.containers[:1], replace(GOOD.after.containers[1], state="exited"))),
        after(containers=(*GOOD.after.containers, Container("stray", "running", "x", "", {}))),
        after(volumes=("v",)),
        after(volumes=("shop-token-1", "shop-token-2", "shop-token-3")),
        after(networks=("a", "a")),
        after(schema=replace(EXPANDED, scratch=("interlock_scratch_1_a",))),
        after(maps=frozenset({ROUTE, "other"})),
    ],
    "leases are free or parked": [
        after(leases=(LEASE,)),
        after(leases=({**LEASE, "left": 9e5},)),
        replace(GOOD, rows=last_phase("stuck"), after=replace(BEFORE, leases=({**LEASE, "left": 9e5, "reason": ""},))),
        replace(GOOD, rows=last_phase("stuck"), after=BEFORE),
        replace(GOOD, rows=last_phase("baking")),
    ],
    "everybody is told": [replace(GOOD, rows=last_phase("rolled back"))],
    "customers notice nothing": [replace(GOOD, failures={"order 502": 3})],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "evidence"), [(name, evidence) for name, planted in PLANTED.items() for evidence in planted]
)
def test_what_is_planted_is_found(name: str, evidence: Evidence) -> None:
    assert any(said.startswith(f"{name}: ") for said in broken(evidence)), broken(evidence)


def test_each_invariant_has_something_planted() -> None:
    assert PLANTED.keys() == INVARIANTS.keys()


def test_the_last_phase_counts_and_an_opened_release_without_one_is_unfinished() -> None:
    rows = [row(1, "opened"), row(2, "entered", phase="planned"), row(3, "opened", release="r3")]
    assert phases(rows) == {"r2": "planned", "r3": ""}


@pytest.mark.parametrize(
    ("event", "seen"),
    [
        (
            {"Type": "container", "Action": "start",
             "Actor": {"Attributes": {"name": "g-0", "interlock.slot": "green", "interlock.release": "r2"}}},
            Effect("start", "g-0", "r2"),
        ),
        ({"Type": "image", "Action": "push", "Actor": {"ID": "shop:2.0"}}, Effect("push", "shop:2.0", "")),
        ({"Type": "container", "Action": "start", "Actor": {"Attributes": {"name": "a build's"}}}, None),
        (
            {"Type": "container", "Action": "create",
             "Actor": {"Attributes": {"name": "c", "interlock.slot": "blue", "interlock.check": "1"}}},
            None,
        ),
        ({"Type": "container", "Action": "die", "Actor": {"Attributes": {"interlock.slot": "blue"}}}, None),
    ],
)  # fmt: skip
def test_the_engine_s_events_become_effects(event: dict[str, Any], seen: Effect | None) -> None:
    read: Callable[[dict[str, Any]], Effect | None] = effect_of
    assert read(event) == seen
