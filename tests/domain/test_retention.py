"""A backup goes when nothing needs it, and what nobody can tell anything about stays."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.facts import BackupFreed, BackupHeld, BackupLetGo, Done, Entered, Entry, Fact, NowServing, Opened, Phase
from domain.release.artifact import Artifact, Deployment
from domain.release.outcomes import BackedUp, Deployed, Migrated
from domain.release.plan import Request, Settled
from domain.release.retention import Keep, Ruling, name_of, rulings, shelves
from domain.schema.backup import Backup, StoredBackup
from domain.schema.migration import Applied
from domain.value import Value

DAY = 86_400.0
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
KEEP = Keep(backups=30 * DAY, least=2)


class House:
    """The journal and the store of one shop, as releases would have left them; everything is as old as it is told."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.ages: dict[str, float] = {}
        self.holders = {"dev": "", "production": ""}

    def write(self, fact: Fact, release: str, environment: str = "", age: float = 100 * DAY) -> None:
        at = datetime.fromtimestamp(NOW - age, UTC).isoformat()
        known: dict[str, Any] = {"actor": "linus", "service": "shop", "previous": "", "hash": ""}
        seq = len(self.entries) + 1
        self.entries.append(Entry(seq=seq, at=at, release=release, environment=environment, fact=fact, **known))

    def done(self, verb: str, outcome: Value, release: str, environment: str, age: float = 100 * DAY) -> None:
        self.write(Done(key=verb, verb=verb, outcome=outcome.model_dump(mode="json")), release, environment, age)

    def open(self, release: str, *phases: Phase, environment: str = "dev") -> None:
        request = Request(service="shop", ref="v1", environments=("dev",), requester="d")
        self.write(Opened(request=request, run=""), release)
        for phase in phases:
            self.write(Entered(phase=phase), release, environment)

    def back_up(self, release: str, days: float = 100, environment: str = "dev", number: int = 0) -> str:
        """Leave a whole backup; returns its name."""
        key = f"backups/shop/{environment}/{release}/{number:03d}"
        self.ages |= {f"{key}.dump.zst": days * DAY, f"{key}.json": days * DAY - 60}
        backup = Backup(format="pg", server="18", fingerprint="f", tables={})
        stored = StoredBackup(key=f"{key}.dump.zst", sha256="0" * 64, backup=backup)
        self.done("back_up", BackedUp(stored=stored), release, environment, days * DAY - 60)
        return key

    def migrate(self, release: str, environment: str = "dev") -> None:
        row = Applied(number=1, name="n", phase="expand", checksum="c", release=release)
        self.done("migrate", Migrated(after="f", applied=(row,)), release, environment)

    def serve(self, release: str, environment: str = "dev", way: str = "release") -> None:
        settled = Settled.model_validate({"deployment": deployment(release, environment), "commit": "c", "way": way})
        self.write(NowServing(settled=settled), release, environment)

    def over(self, *releases: str, days: float = 100, environment: str = "dev") -> list[str]:
        """Leave releases that were rolled out and back long ago, each with a backup one day younger than the last."""
        for release in releases:
            self.open(release, "planned", "aborted", environment=environment)
        return [self.back_up(release, days - number, environment) for number, release in enumerate(releases)]

    def rule(self, keep: Keep = KEEP) -> dict[str, Ruling]:
        found = rulings(shelves(self.ages), self.entries, self.holders, keep, NOW)
        return {it.backup.key: it for it in found}

    def goes(self, keep: Keep = KEEP) -> set[str]:
        return {key for key, it in self.rule(keep).items() if not it.keep}


def deployment(release: str, environment: str = "dev", slot: str = "blue") -> Deployment:
    digest = f"sha256:{'a' * 64}"
    return Deployment.model_validate(
        {"service": "shop", "environment": environment, "release": release, "version": release, "slot": slot,
         "config": {}, "replicas": 1, "resources": {}, "runtime": {},
         "artifact": Artifact(repository="r/shop", version="1", digest=digest, image=digest)}
    )  # fmt: skip


@pytest.fixture
def house() -> House:
    """Three releases that were stopped long ago, and two newer ones, which are the newest two."""
    house = House()
    house.over("r1", "r2", "r3", "r4", "r5")
    return house


OLD = {f"backups/shop/dev/{release}/000" for release in ("r1", "r2", "r3")}


def test_what_is_old_and_not_among_the_newest_goes_with_its_reason(house: House) -> None:
    assert house.goes() == OLD
    told = house.rule()
    assert told["backups/shop/dev/r1/000"].says == "it is 100.0 d old; nothing needs it"
    assert told["backups/shop/dev/r5/000"].says == "it is one of the 2 newest"
    assert not any(it.doubtful for it in told.values())


def test_the_manifest_is_removed_before_the_dump(house: House) -> None:
    assert house.rule()["backups/shop/dev/r1/000"].backup.objects == (
        "backups/shop/dev/r1/000.json",
        "backups/shop/dev/r1/000.dump.zst",
    )


def test_the_newest_are_counted_for_each_environment(house: House) -> None:
    house.over("p1", "p2", "p3", environment="production", days=500)
    assert house.goes() == {*OLD, "backups/shop/production/p1/000"}
    assert house.goes(Keep(backups=30 * DAY, least=1)) >= {*OLD, "backups/shop/production/p2/000"}


def test_a_young_one_is_kept_and_its_age_is_the_younger_of_what_store_and_journal_say(house: House) -> None:
    keep, last = Keep(backups=30 * DAY, least=1), "backups/shop/dev/r5/000"
    house.ages["backups/shop/dev/r1/000.json"] = 29 * DAY  # written anew, as when a store moves
    [told] = house.over("r9", days=20)
    house.ages |= {
        f"{told}.json": 400 * DAY,
        f"{told}.dump.zst": 400 * DAY,
    }  # a copy that kept no times, or a wrong clock
    assert house.goes(keep) == {*OLD, "backups/shop/dev/r4/000", last} - {"backups/shop/dev/r1/000"}
    house.ages[f"{last}.json"] = 28 * DAY
    assert house.rule(keep)["backups/shop/dev/r1/000"].says == "it is 29.0 d old, and kept for 30 d"
    assert house.rule(keep)[told].says == "it is the newest; it is 20.0 d old, and kept for 30 d"


def test_of_backups_that_a_store_calls_as_old_the_journal_knows_the_newer(house: House) -> None:
    newer = house.over("z1", "a1", "z2", "a2", days=83)
    house.ages = dict.fromkeys(house.ages, 79 * DAY)  # a store that was moved
    assert house.rule().keys() - house.goes() == set(newer[2:])


UNFINISHED: dict[str, tuple[Phase, ...]] = {
    "being planned": (),
    "planned": ("planned",),
    "awaiting approval": ("planned", "built", "awaiting approval"),
    "deploying": ("planned", "built", "deploying"),
    "baking": ("planned", "built", "deploying", "baking"),
    "settled": ("planned", "built", "deploying", "baking", "settled"),
    "rolling back": ("planned", "built", "deploying", "rolling back"),
    "stuck": ("planned", "built", "deploying", "rolling back", "stuck"),
}


@pytest.mark.parametrize("phase", UNFINISHED)
def test_a_release_that_is_not_over_keeps_its_backups_in_every_environment(house: House, phase: str) -> None:
    house.open("r0", *UNFINISHED[phase], environment="production")
    kept = {house.back_up("r0", 500), house.back_up("r0", 499, number=1), house.back_up("r0", 498, "production")}
    house.ages["backups/shop/dev/r0/002.dump.zst"] = 497 * DAY
    assert house.goes() == OLD
    assert {house.rule()[key].says.partition(";")[0] for key in kept} == {f"r0 is not over: it is {phase}"}


def test_what_serves_and_what_serves_after_a_rollback_keep_theirs(house: House) -> None:
    house.serve("r1")
    house.serve("r2")
    assert house.goes() == {"backups/shop/dev/r3/000"}
    assert house.rule()["backups/shop/dev/r2/000"].says == "r2 serves, and this is its way back"
    assert house.rule()["backups/shop/dev/r1/000"].says == "r1 serves again after a rollback"
    house.serve("r3", "production")  # elsewhere: that says nothing about dev
    assert house.goes() == {"backups/shop/dev/r3/000"}


def test_what_serves_after_a_rollback_and_what_left_the_schema_keep_theirs(house: House) -> None:
    for release in ("r1", "r2"):
        house.migrate(release)
        house.serve(release)
    house.write(NowServing(settled=None), "r2", "dev")
    assert house.goes() == OLD - {"backups/shop/dev/r2/000"}
    assert house.rule()["backups/shop/dev/r2/000"].says == "its migrations are the last ones here"


def test_what_stands_in_a_slot_keeps_its_own(house: House) -> None:
    house.done("deploy", Deployed(deployment=deployment("r3", slot="green"), replicas=()), "r3", "dev")
    assert house.goes() == OLD - {"backups/shop/dev/r3/000"}
    assert house.rule()["backups/shop/dev/r3/000"].says == "it stands in slot green"


def test_a_hold_keeps_it_until_it_is_freed(house: House) -> None:
    key = "backups/shop/dev/r1/000"
    house.write(BackupHeld(key=key, reason="the auditors ask for it"), "r1", "dev")
    assert house.goes() == OLD - {key}
    assert house.rule()[key].says == "linus holds it: the auditors ask for it"
    house.write(BackupFreed(key=key, reason="they have it"), "r1", "dev")
    assert house.goes() == OLD


def test_whoever_holds_the_environment_keeps_everything_there(house: House) -> None:
    house.over("p1", "p2", "p3", environment="production")
    house.holders["dev"] = "shop-v2"
    assert house.goes() == {"backups/shop/production/p1/000"}
    assert house.rule()["backups/shop/dev/r1/000"].says == "shop-v2 holds dev just now"


@pytest.mark.parametrize(
    "key", ["backups/shop/dev/r1/notes.txt", "backups/shop/dump.zst", "backups/shop/dev/r1/1.json"]
)
def test_what_is_not_called_like_a_backup_stays_and_is_told(house: House, key: str) -> None:
    house.ages[key] = 1000 * DAY
    assert house.goes() == OLD
    assert house.rule()[key].doubtful


def test_what_belongs_to_nobody_the_ledger_knows_stays_is_told_and_pushes_nothing_out(house: House) -> None:
    stranger, elsewhere = house.back_up("r-of-another-ledger", 90), house.back_up("r1", 500, "attic")
    assert house.goes() == OLD
    told = house.rule()
    assert (told[stranger].doubtful, told[elsewhere].doubtful) == (True, True)
    assert told[stranger].says == "the ledger knows no release r-of-another-ledger"
    assert told[elsewhere].says == "shop has no environment attic"


def test_what_was_written_in_the_future_stays_is_told_and_pushes_nothing_out(house: House) -> None:
    house.ages["backups/shop/dev/r1/000.json"] = -400 * DAY
    assert house.goes() == OLD - {"backups/shop/dev/r1/000"}
    assert house.rule()["backups/shop/dev/r1/000"].doubtful


@pytest.mark.parametrize("ending", [".json", ".dump.zst"])
def test_half_a_backup_goes_after_a_day_and_never_counts_as_one_of_the_newest(house: House, ending: str) -> None:
    house.open("r6", "planned", "aborted")
    key = "backups/shop/dev/r6/000"
    house.ages[f"{key}{ending}"] = 0.9 * DAY
    assert house.goes() == OLD
    house.ages[f"{key}{ending}"] = 1.1 * DAY
    assert house.goes() == {*OLD, key}
    assert house.rule()[key].says == "it is 1.1 d old; it is incomplete, and whoever took it is gone"


def test_half_a_backup_that_the_journal_knows_whole_is_as_old_as_a_whole_one_unless_it_was_let_go(house: House) -> None:
    house.open("r6", "planned", "aborted")
    key = house.back_up("r6", 20)
    del house.ages[f"{key}.json"]  # somebody lost it: the journal has all that stood in it
    assert house.goes() == OLD
    house.write(BackupLetGo(key=key, objects=(), reason="old"), "r6", "dev")  # or it was removed, half way
    assert house.goes() == {*OLD, key}


def test_a_backup_is_named_by_any_of_its_objects() -> None:
    key = "backups/shop/dev/r1/000"
    assert {name_of(f"{key}{ending}") for ending in ("", ".json", ".dump.zst")} == {key}
