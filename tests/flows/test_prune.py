"""Old backups go, each a fact first; whenever it breaks off, nothing is left that looks like a backup and is none."""

import time
from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import Invalid, Rejected
from domain.facts import BackupHeld, BackupLetGo, Entered, Entry, Fact
from domain.lease import Lease
from domain.release.retention import Keep, name_of, shelves
from flows.prune import prune
from flows.release import release
from flows.rollback import rollback
from tasks.let_go import let_go

if TYPE_CHECKING:
    from conftest import World

DAY = 86_400.0
UP = "-- interlock: phase=expand\nalter table orders add {} text;"


class Died(BaseException):
    """A power cut."""


@pytest.fixture
def old(world: "World", monkeypatch: pytest.MonkeyPatch) -> "World":
    """Five versions were released to dev, each with a migration; then nothing happened for forty days."""
    monkeypatch.setattr("flows.prune.store", lambda house: world.store)
    clock = world.desk.ports.clock
    world.store.now = clock.now
    release.fn("shop", "v1.0.0", "dev", "dora", "a test")
    for number in range(1, 5):
        name, tag = f"db/{number + 1:04d}_c{number}", f"v1.{number}.0"
        files = {f"{name}.up.sql": UP.format(f"c{number}"), f"{name}.down.sql": f"alter table orders drop c{number};"}
        world.source.commit(f"feat: {number}", files, tag=tag)
        release.fn("shop", tag, "dev", "dora", "a test")
    clock.sleep(max(0.0, time.time() - clock.now()) + 40 * DAY)  # the journal has a clock of its own
    return world


def versions(world: "World") -> list[str]:
    """Name the releases of which a whole backup is there."""
    return [it.release[5:11] for it in shelves(world.store.ages("backups/")) if it.whole]


def gone(world: "World") -> list[Entry]:
    return list(world.desk.journal.entries(kinds=("backup let go",)))


ALL = [f"v1.{number}.0" for number in range(5)]


def test_the_oldest_go_and_each_is_a_fact_with_its_reason(old: "World") -> None:
    assert versions(old) == ALL
    told = prune.fn()
    assert versions(old) == ALL[2:]
    assert [(row["what"], row["why"].partition("; ")[2]) for row in told] == [("went", "nothing needs it")] * 2
    facts = [
        (it.release, it.environment, it.actor, it.fact.key) for it in gone(old) if isinstance(it.fact, BackupLetGo)
    ]
    assert facts == [
        (old.release(tag), "dev", "interlock", f"backups/shop/dev/{old.release(tag)}/000") for tag in ALL[:2]
    ]
    assert all(it.token for it in gone(old))
    assert old.desk.leases.holder("shop", "dev") is None


def test_a_second_look_lets_nothing_more_go_and_takes_no_lease(old: "World") -> None:
    prune.fn()
    before = len(old.desk.journal.entries())
    assert prune.fn() == []
    assert len(old.desk.journal.entries()) == before


def test_what_serves_after_a_rollback_and_what_left_the_schema_stay_however_few_are_kept(old: "World") -> None:
    rollback.fn("shop", "dev", "customers complain", "dora")
    let_go(old.desk, Keep(backups=DAY, least=1), "dev")
    assert versions(old) == ["v1.3.0", "v1.4.0"]


def test_a_release_that_waits_for_people_keeps_its_backup_and_the_places_of_others_are_not_touched(
    old: "World",
) -> None:
    journal, release = old.desk.journal, old.release("v1.0.0")
    who: dict[str, Any] = {"actor": "dora", "release": release, "service": "shop", "environment": "production"}
    journal.append(Entered(phase="rolling back"), **who)
    journal.append(Entered(phase="stuck"), **who)
    prune.fn()
    assert versions(old) == ["v1.0.0", *ALL[2:]]


def test_a_hold_keeps_it_also_when_it_comes_after_the_look(old: "World") -> None:
    journal = old.desk.journal
    append, keys = journal.append, [f"backups/shop/dev/{old.release(tag)}/000" for tag in ALL[:2]]

    def hold(key: str) -> None:
        append(
            BackupHeld(key=key, reason="audit"),
            actor="ada",
            release=key.split("/")[3],
            service="shop",
            environment="dev",
        )

    def late(fact: Fact, **known: Any) -> Entry:
        if isinstance(fact, BackupLetGo) and fact.key == keys[1]:
            hold(keys[1])  # one moment before this is written down
        return append(fact, **known)

    hold(keys[0])
    journal.append = late  # type: ignore[method-assign]  # ada types slowly
    assert prune.fn() == []
    assert [it.fact.key for it in gone(old) if isinstance(it.fact, BackupLetGo)] == keys[1:]
    assert versions(old) == ALL
    assert let_go(old.desk, Keep(), "dev") == ()


def test_an_environment_that_somebody_holds_waits_for_the_next_night(old: "World") -> None:
    lease = old.desk.leases.take("shop", "dev", "shop-v2", "releasing 2.0.0", 60)
    assert prune.fn() == []
    assert versions(old) == ALL
    old.desk.leases.give_back(lease)
    assert len(prune.fn()) == 2


def test_whoever_takes_the_environment_between_the_look_and_the_removal_wins(old: "World") -> None:
    take = old.desk.leases.take

    def lose(service: str, environment: str, owner: str, reason: str, ttl: float, *, force: bool = False) -> Lease:
        take(service, environment, "shop-v2", "releasing 2.0.0", 60)  # always a little faster
        return take(service, environment, owner, reason, ttl, force=force)

    old.desk.leases.take = lose  # type: ignore[method-assign]  # it is what a release would do
    [row] = prune.fn()
    assert (row["backup"], row["what"]) == ("shop in dev", "kept")
    assert versions(old) == ALL


def test_a_lease_that_is_taken_over_meanwhile_stops_the_removal(old: "World") -> None:
    remove = old.store.remove

    def slow(key: str) -> None:
        old.desk.leases.take("shop", "dev", "shop-v2", "an operator's rollback", 60, force=True)
        remove(key)

    old.store.remove = slow  # type: ignore[method-assign]  # somebody is in a hurry
    [row] = prune.fn()
    assert row["what"] == "kept"
    assert "the lease with token" in row["why"]
    assert versions(old) == ALL[1:]


def test_wherever_it_breaks_off_no_manifest_is_left_without_its_dump_and_the_next_run_ends_it(old: "World") -> None:
    store = old.store
    remove, objects, written = store.remove, dict(store._objects), dict(store.written)
    for steps, effect in product(range(4), (False, True)):
        store._objects, store.written, before = dict(objects), dict(written), len(gone(old))
        store.remove = mortal(remove, steps, effect)  # type: ignore[method-assign]  # a machine that is switched off
        with pytest.raises(Died):
            prune.fn()
        there = set(store.keys("backups/"))
        assert {
            key for key in there if key.endswith(".json") and key.replace(".json", ".dump.zst") not in there
        } == set()
        told = {it.fact.key for it in gone(old)[before:] if isinstance(it.fact, BackupLetGo)}
        missing = {name_of(key) for key in objects.keys() - there if key.startswith("backups/")}
        assert missing <= told
        store.remove = remove  # type: ignore[method-assign]
        prune.fn()
        assert versions(old) == ALL[2:]
        assert len(list(store.keys("backups/"))) == 6
        assert prune.fn() == []


def mortal(remove: Callable[[str], None], steps: int, effect: bool) -> Callable[[str], None]:
    """Remove so many objects, and die before or after (`effect`) the next one."""
    left = iter(range(steps))

    def dies(key: str) -> None:
        alive = next(left, None) is not None
        if alive or effect:
            remove(key)
        if not alive:
            raise Died

    return dies


def test_what_nobody_can_tell_anything_about_is_kept_and_shown(old: "World") -> None:
    strange = [
        "backups/blog/dev/b1/000.json",
        "backups/notes.txt",
        "backups/shop/dev/README",
        "backups/shop/qa/r1/000.json",
    ]
    for key in strange:
        old.store.put(key, [b"x"])
        old.store.written[key] = 0.0
    assert [row["why"] for row in prune.fn() if row["what"] == "kept"] == [
        "its name is not that of a backup",
        "shop has no environment qa",
        "there is no service blog",
        "its name is not that of a backup",
    ]
    assert set(strange) <= set(old.store.keys("backups/"))


def test_a_store_that_does_not_let_go_fails_the_run_after_everything_had_its_turn(old: "World") -> None:
    def refuse(key: str) -> None:
        raise Invalid(f"{key}: access denied", "s3:DeleteObject is missing")

    old.store.remove = refuse  # type: ignore[method-assign]  # as S3 does it
    old.store.put("backups/notes.txt", [b"x"])
    with pytest.raises(Rejected, match=r"shop in dev: .*access denied"):
        prune.fn()
    assert versions(old) == ALL
    assert old.desk.leases.holder("shop", "dev") is None
