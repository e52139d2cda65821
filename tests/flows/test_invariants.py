"""What a service says of its rows is asked before a migration, on the copy, and where it counts."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from adapters.memory.database import MemoryDatabase
from domain.errors import Refused, Rejected
from domain.facts import Done
from domain.schema.migration import Applied, Migration
from flows.release import release

if TYPE_CHECKING:
    from conftest import World

UP = "alter table orders add note text;"
DOWN = "alter table orders drop column note;"
POSITIVE = {"positive": "select id from orders where id < 0 order by id"}


@pytest.fixture
def opened(world: "World", monkeypatch: pytest.MonkeyPatch) -> "World":
    """A shop that says its orders are positive, whose v1.0.0 serves in dev."""
    service = world.desk.service
    schema = service.schema_.model_copy(update={"invariants": POSITIVE}) if service.schema_ else None
    desk = replace(world.desk, service=service.model_copy(update={"schema_": schema}))
    monkeypatch.setattr("flows.release.connect", lambda name, house=None: desk)
    go("v1.0.0")
    return world


def go(ref: str) -> str:
    return release.fn("shop", ref, "dev", "dora", "a test")


def commit(world: "World", up: str = UP, down: str = DOWN) -> None:
    named = {"db/0002_note.up.sql": up, "db/0002_note.down.sql": down}
    world.source.commit("feat: notes", named, tag="v1.1.0")


def verbs(world: "World") -> set[str]:
    done = world.desk.journal.entries(release=world.release("v1.1.0"), kinds=("done",))
    return {entry.fact.verb for entry in done if isinstance(entry.fact, Done)}


def test_a_migration_that_keeps_them_is_released(opened: "World") -> None:
    commit(opened)
    go("v1.1.0")
    assert opened.phase("v1.1.0") == "released"


def test_what_was_broken_before_is_refused_before_anything_is_touched(opened: "World") -> None:
    opened.databases["dev"].execute("insert into orders (id) values (-1), (-2), (-3), (-4)")
    before = opened.databases["dev"].fingerprint()
    commit(opened)
    with pytest.raises(Refused, match=r"(?s)broken before.*positive is broken by 4 rows: \(-4\), \(-3\), \(-2\), …"):
        go("v1.1.0")
    assert not {"prove", "back_up", "migrate", "deploy"} & verbs(opened)
    assert (opened.phase("v1.1.0"), opened.databases["dev"].fingerprint()) == ("aborted", before)


def test_a_version_without_a_migration_is_nobody_s_business(opened: "World") -> None:
    opened.databases["dev"].execute("insert into orders (id) values (-1)")
    opened.source.commit("fix: no more of them", {"app.py": "more"}, tag="v1.1.0")
    go("v1.1.0")
    assert opened.phase("v1.1.0") == "released"


def test_what_the_migration_breaks_shows_on_the_copy(opened: "World") -> None:
    opened.databases["dev"].execute("insert into orders (id) values (1)")
    commit(opened, up=f"{UP} insert into orders (id) values (-1);", down=f"{DOWN} delete from orders where id = -1;")
    with pytest.raises(Rejected, match=r"after the migration, invariant positive is broken by 1 row: \(-1\)"):
        go("v1.1.0")
    assert not {"back_up", "migrate", "deploy"} & verbs(opened)
    assert opened.databases["dev"].execute("select id from orders") == [(1,)]


def test_what_is_only_broken_where_it_counts_is_rolled_back(opened: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    def and_more(self: MemoryDatabase, step: Migration, release: str, *patience: float) -> Applied:
        self.execute("insert into orders (id) values (-5)")
        return migrate(self, step, release, *patience)

    migrate = MemoryDatabase.migrate
    monkeypatch.setattr(MemoryDatabase, "migrate", and_more)
    commit(opened)
    with pytest.raises(
        Rejected, match=r"(?s)dev: after the migration\n- invariant positive is broken by 1 row: \(-5\)"
    ):
        go("v1.1.0")
    assert "deploy" not in verbs(opened)
    assert opened.phase("v1.1.0") == "rolled back"
    assert opened.serving("dev")[0] == "1.0.0"
