"""A schema moves forward only when its way back was walked on a copy, and as long as that counts."""

import json
from typing import TYPE_CHECKING

import pytest

from adapters.memory.database import MemoryDatabase
from domain.errors import Conflict, Invalid, Refused, Rejected, ReleaseError, Unavailable
from domain.facts import Done
from domain.release.recall import proofs_of
from domain.schema.migration import Applied, Migration
from domain.schema.proof import Proof
from flows.drill import drill
from flows.release import release

if TYPE_CHECKING:
    from conftest import World

DAY = 86_400.0
UP = "-- interlock: phase=expand\nalter table orders add note text;"
DOWN = "alter table orders drop column note;"


def go(ref: str, to: str = "dev") -> str:
    return release.fn("shop", ref, to, "dora", "a test")


def verbs(world: "World", tag: str) -> list[str]:
    done = world.desk.journal.entries(release=world.release(tag), kinds=("done",))
    return [entry.fact.verb for entry in done if isinstance(entry.fact, Done)]


@pytest.fixture
def opened(world: "World") -> "World":
    """A shop whose v1.0.0 serves in dev; what comes next is up to each test."""
    go("v1.0.0")
    return world


def commit(world: "World", tag: str = "v1.1.0", **files: str) -> None:
    """Commit a version; a file is named with two underscores for its dot: `up__sql`."""
    named = {f"db/0002_note.{name.replace('__', '.')}": text for name, text in files.items()}
    world.source.commit("feat: notes", named | {"app.py": tag}, tag=tag)


def test_the_proof_comes_before_the_backup_and_all_of_it_is_in_the_store(opened: "World") -> None:
    commit(opened, up__sql=UP, down__sql=DOWN)
    go("v1.1.0")
    done = [verb for verb in verbs(opened, "v1.1.0") if verb in ("prove", "back_up", "migrate")]
    assert done == ["prove", "back_up", "migrate"]
    proven = proofs_of(opened.desk.journal.entries(release=opened.release("v1.1.0"), kinds=("done",)))[0]
    with opened.store.open(proven.evidence) as kept:
        proof = Proof.model_validate(json.load(kept))
    assert (proof.holds, proof.tier, proof.subject) == (True, 2, proven.subject)
    assert proven.after == opened.databases["dev"].fingerprint()


@pytest.mark.parametrize(
    ("down", "said"),
    [
        ("alter table orders drop column note; drop table nothing;", "the way back fails: 0002_note"),
        ("alter table orders drop column note; create table more (id int);", "leads to another schema"),
        ("alter table orders drop column note; delete from orders;", "rows"),
    ],
)
def test_a_way_back_that_does_not_hold_stops_the_release_before_anything_is_touched(
    opened: "World", down: str, said: str
) -> None:
    opened.databases["dev"].execute("insert into orders (id) values (1), (2)")
    before, commits = opened.databases["dev"].fingerprint(), opened.router.applied[:]
    commit(opened, up__sql=UP, down__sql=down)
    with pytest.raises(Rejected, match=said) as refused:
        go("v1.1.0")
    assert not {"back_up", "migrate", "deploy"} & set(verbs(opened, "v1.1.0"))
    assert opened.phase("v1.1.0") == "aborted"
    assert (opened.databases["dev"].fingerprint(), opened.router.applied) == (before, commits)
    assert opened.desk.leases.holder("shop", "dev") is None
    key = refused.value.hint.rpartition(" ")[2]
    with opened.store.open(key) as kept:
        assert not Proof.model_validate(json.load(kept)).holds


def test_nobody_is_asked_to_approve_what_cannot_be_taken_back(opened: "World") -> None:
    environments = opened.desk.catalog.environments
    environments["dev"] = environments["dev"].model_copy(update={"seats": (("tech-lead",),)})
    commit(opened, up__sql=UP, down__sql=f"{DOWN} drop table nothing;")
    with pytest.raises(Rejected, match="does not hold"):
        go("v1.1.0")
    assert opened.desk.journal.entries(release=opened.release("v1.1.0"), kinds=("gate opened",)) == ()


def test_an_old_version_without_statements_proves_nothing_and_the_message_names_the_file(world: "World") -> None:
    world.source.commit("feat: silence", {"db/smoke.sql": ""}, tag="v1.0.1")
    go("v1.0.1")
    commit(world, up__sql=UP, down__sql=DOWN)
    with pytest.raises(Rejected, match=r"no statements to try.*smoke\.sql"):
        go("v1.1.0")


def test_a_proof_that_still_counts_is_not_made_again(opened: "World") -> None:
    commit(opened, up__sql=UP, down__sql=DOWN)
    opened.databases["dev"].holder = "a report, for hours"
    with pytest.raises(Rejected, match="no lock"):
        go("v1.1.0")
    assert opened.phase("v1.1.0") == "rolled back"
    opened.databases["dev"].holder = ""
    go("v1.1.0")
    assert "prove" not in verbs(opened, "v1.1.0")  # the newest: it stands on the first one's


def test_a_proof_expires_and_is_made_anew(opened: "World") -> None:
    commit(opened, up__sql=UP, down__sql=DOWN)
    opened.databases["dev"].holder = "a report, for hours"
    with pytest.raises(Rejected):
        go("v1.1.0")
    opened.databases["dev"].holder = ""
    opened.desk.ports.clock.sleep(7 * DAY + 1)
    go("v1.1.0")
    assert "prove" in verbs(opened, "v1.1.0")


def test_a_schema_that_somebody_changed_by_hand_is_told_before_anybody_is_asked(opened: "World") -> None:
    commit(opened, up__sql=UP, down__sql=DOWN)
    opened.databases["dev"].execute("create index by_hand on orders (id)")
    with pytest.raises(Conflict, match="not what the last release left"):
        go("v1.1.0")
    assert "prove" not in verbs(opened, "v1.1.0")


def test_a_schema_that_becomes_another_than_the_proven_one_is_rolled_back(
    opened: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    def and_more(self: MemoryDatabase, step: Migration, release: str, *patience: float) -> Applied:
        self.execute("create table by_somebody_else (id int)")
        return migrate(self, step, release, *patience)

    migrate = MemoryDatabase.migrate
    monkeypatch.setattr(MemoryDatabase, "migrate", and_more)
    commit(opened, up__sql=UP, down__sql=DOWN)
    with pytest.raises(Conflict, match="not the one that was proven"):
        go("v1.1.0")
    assert opened.phase("v1.1.0") == "rolled back"
    assert opened.serving("dev")[0] == "1.0.0"


def test_what_dies_between_two_migrations_goes_on_with_the_proof_it_began_with(opened: "World") -> None:
    opened.source.commit(
        "feat: notes", {"db/0002_note.up.sql": UP, "db/0003_more.up.sql": UP.replace("note", "more")}, tag="v1.1.0"
    )
    database, migrate = opened.databases["dev"], opened.databases["dev"].migrate

    def die_at_the_second(step: Migration, release: str, *patience: float) -> Applied:
        if step.number == 3:
            raise KeyboardInterrupt
        return migrate(step, release, *patience)

    database.migrate = die_at_the_second  # type: ignore[method-assign]  # a kill, seen from inside
    with pytest.raises(KeyboardInterrupt):
        go("v1.1.0")
    database.migrate = migrate  # type: ignore[method-assign]  # the same again
    opened.expire_leases()
    release.fn("shop", "v1.1.0", "dev", "dora", "a test", opened.release("v1.1.0"))
    assert verbs(opened, "v1.1.0").count("prove") == 1
    assert opened.phase("v1.1.0") == "released"


def test_where_no_schema_changes_nothing_is_proven(opened: "World") -> None:
    commit(opened)
    try:
        go("v1.1.0")
    except ReleaseError as error:
        pytest.fail(error.message)
    assert "prove" not in verbs(opened, "v1.1.0")


def test_nothing_is_released_on_top_of_a_way_back_that_nobody_walked_for_long(opened: "World") -> None:
    commit(opened, up__sql=UP, down__sql=DOWN)
    go("v1.1.0")
    opened.source.commit("feat: more", {"app.py": "more"}, tag="v1.2.0")
    opened.desk.ports.clock.sleep(8 * DAY + 60)
    with pytest.raises(Refused, match=r"1\.1\.0, which serves in dev, was last walked 8\.0 days ago, 8 are allowed"):
        go("v1.2.0")
    assert drill.fn("shop", "dev")[0]["holds"] == "yes"
    go("v1.2.0")
    assert opened.serving("dev")[0] == "1.2.0"


def test_a_first_release_has_no_way_back_to_walk_and_bars_nobody(opened: "World") -> None:
    opened.desk.ports.clock.sleep(40 * DAY)
    commit(opened, up__sql=UP, down__sql=DOWN)
    go("v1.1.0")
    assert opened.serving("dev")[0] == "1.1.0"


def test_a_drill_begins_where_the_migration_is_applied_and_touches_nothing(opened: "World") -> None:
    commit(opened, up__sql=UP, down__sql=DOWN)
    go("v1.1.0")
    opened.databases["dev"].execute("insert into orders (id, note) values (1, 'today')")
    schema, routes = opened.databases["dev"].fingerprint(), opened.router.applied[:]
    [told] = drill.fn("", "")
    assert (told["service"], told["environment"], told["holds"]) == ("shop", "dev", "yes")
    with opened.store.open(told["proof"]) as kept:
        proof = Proof.model_validate(json.load(kept))
    assert proof.rehearsal.seen["up"].fingerprint == schema
    assert proof.rehearsal.seen["old version before"].fingerprint != schema
    assert (opened.databases["dev"].fingerprint(), opened.router.applied) == (schema, routes)
    assert opened.desk.leases.holder("shop", "dev") is None


def test_a_drill_finds_the_way_back_that_todays_data_bars_and_calls_people(opened: "World") -> None:
    commit(
        opened, up__sql=UP, down__sql="create unique index one_of_each on orders (id); drop index one_of_each;" + DOWN
    )
    go("v1.1.0")
    opened.databases["dev"].execute("insert into orders (id) values (1), (1)")
    with pytest.raises(Rejected, match="shop in dev: dev: the way back of the schema does not hold"):
        drill.fn("shop", "dev")
    assert ("ops", "needs a person") in opened.said()
    assert opened.phase("v1.1.0") == "released"
    assert opened.desk.leases.holder("shop", "dev") is None


def test_where_the_schema_stays_a_drill_lets_the_old_version_speak_on_it(opened: "World") -> None:
    commit(opened, up__sql=UP)
    go("v1.1.0")
    [told] = drill.fn("shop", "dev")
    with opened.store.open(told["proof"]) as kept:
        proof = Proof.model_validate(json.load(kept))
    assert (proof.subject.steps, proof.holds) == ((), True)
    opened.databases["dev"].execute("alter table orders rename column id to number")
    with pytest.raises(Rejected, match="the old version's own statement fails"):
        drill.fn("shop", "dev")


def test_a_drill_leaves_an_environment_alone_that_somebody_changes(opened: "World") -> None:
    commit(opened, up__sql=UP, down__sql=DOWN)
    go("v1.1.0")
    opened.desk.leases.take("shop", "dev", "shop-v9-someone/run 1", "releasing", 60.0)
    with pytest.raises(Unavailable, match=r"shop in dev: .*shop-v9-someone"):
        drill.fn("shop", "dev")


def test_the_drill_of_the_week_comes_back_to_where_somebody_was_at_work(
    opened: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(opened, up__sql=UP, down__sql=DOWN)
    go("v1.1.0")
    lease = opened.desk.leases.take("shop", "dev", "shop-v9-someone/run 1", "releasing", 60.0)
    monkeypatch.setattr(opened.desk.ports.clock, "sleep", lambda _: opened.desk.leases.give_back(lease))
    [told] = drill.fn(service="", environment="")
    assert told["holds"] == "yes"


def test_a_first_release_has_nothing_to_drill_and_an_unknown_place_is_refused(opened: "World") -> None:
    assert drill.fn("shop", "") == []
    with pytest.raises(Invalid, match="shop has no environment 'mars'"):
        drill.fn("shop", "mars")
