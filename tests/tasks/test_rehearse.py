"""A way back is walked on a copy: whatever would hurt where it counts shows there."""

import io
from collections.abc import Callable

import pytest

from adapters.memory.database import MemoryDatabase
from domain.schema.migration import Migration
from domain.schema.proof import Proof, prove, subject_of
from domain.schema.rehearsal import Rehearsal, WayBack
from tasks.rehearse import rehearse

OLD = "select id, note from orders;\ninsert into orders (id, note) values (900, 'old')"
NEW = "insert into orders (id, note) values (901, 'new')"
Try = Callable[..., Proof]


def step(up: str, down: str | None = None, number: int = 2, **more: object) -> Migration:
    return Migration.model_validate({"number": number, "name": "step", "up": up, "down": down, **more})


def walked(way: WayBack, *, applied: bool = False) -> Rehearsal:
    database = MemoryDatabase()
    database.execute("create table orders (id integer primary key, note text not null)")
    database.execute("insert into orders values (1, 'Hugo'), (2, 'Ida')")
    for item in way.steps if applied else ():
        database.execute(item.up)
    into = io.BytesIO()
    backup = database.backup(into)
    into.seek(0)
    with database.clone(into, backup) as clone:
        return rehearse(clone, way, applied=applied)


def proven(*steps: Migration, old: str | None = OLD, new: str | None = NEW) -> Proof:
    way = WayBack(steps=steps, old=old, new=new)
    rehearsal = walked(way)
    return prove(way, rehearsal, subject_of(way, "f" * 48, rehearsal.server), at=1000.0)


def told(proof: Proof) -> list[str]:
    return [problem.says for problem in proof.problems]


COLOUR = step("alter table orders add column colour text", "alter table orders drop column colour")


def test_a_way_back_that_leads_back_holds() -> None:
    proof = proven(COLOUR)
    assert told(proof) == []
    assert (proof.holds, proof.tier) == (True, 2)
    assert list(proof.rehearsal.costs) == ["0002_step"]


def test_an_expand_step_without_a_way_back_stays_and_the_old_version_is_tried_on_it() -> None:
    proof = proven(step("alter table orders add column colour text"))
    assert (proof.holds, proof.tier) == (True, 1)
    assert "down" in proof.rehearsal.seen


def test_several_steps_are_undone_in_the_other_order() -> None:
    more = step("create index on_colour on orders (colour)", "drop index on_colour", number=3)
    assert told(proven(COLOUR, more)) == []


def test_a_migration_that_fails_ends_the_rehearsal() -> None:
    proof = proven(step("alter table nonsense add column x text", "select 1"))
    [said] = told(proof)
    assert said.startswith("the migration fails: 0002_step: line 1: no such table: nonsense")
    assert "up" not in proof.rehearsal.seen


def test_an_old_version_that_fails_on_the_new_schema_is_told_with_its_statement() -> None:
    rename = step("alter table orders rename column note to remark", "alter table orders rename column remark to note")
    said = told(proven(rename, new=None))
    assert said[0] == "the old version fails on the new schema: select id, note from orders: no such column: note"
    assert len(said) == 2  # the insert, too; and neither is told again


def test_an_old_version_that_never_worked_shows_nothing() -> None:
    [said] = told(proven(COLOUR, old="select nonsense from orders"))
    assert said.startswith("the old version's own statement fails on the schema it has now, so it can show nothing")


def test_an_old_version_without_statements_was_not_tried() -> None:
    [said] = told(proven(COLOUR, old=" \n"))
    assert said.startswith("the old version has no statements to try")
    assert "smoke.sql" in said


def test_where_nothing_serves_nobody_needs_to_be_tried() -> None:
    assert told(proven(COLOUR, old=None)) == []


def test_a_new_version_must_work_on_its_own_schema() -> None:
    [said] = told(proven(COLOUR, new="select shade from orders"))
    assert said.startswith("the new version fails on its own schema: select shade from orders")


def test_a_way_back_that_fails_ends_the_rehearsal() -> None:
    [said] = told(proven(step("create table t (id integer)", "drop table u")))
    assert said.startswith("the way back fails: 0002_step: line 1: no such table: u")


def test_a_way_back_that_forgets_something_leads_to_another_schema() -> None:
    said = told(proven(step("create table if not exists t (id integer); create table u (id integer)", "drop table u")))
    assert "the way back leads to another schema than the one before" in said
    assert "after the way back, public.t is there, and was not before" in said


@pytest.mark.parametrize(
    ("up", "down", "what"),
    [
        ("update orders set note = upper(note)", "update orders set note = lower(note)", "other content"),
        ("delete from orders where id = 2", "select 1", "1 rows instead of 2"),
    ],
)
def test_rows_that_do_not_come_back_are_told(up: str, down: str, what: str) -> None:
    assert f"after the way back, public.orders has {what}" in told(proven(step(up, down, phase="migrate")))


def test_going_forward_again_must_lead_to_the_same_place() -> None:
    kept = step(
        "create table if not exists seen (n integer); insert into seen select count(*) from seen;"
        "drop table if exists x",
        "create table if not exists x (id integer)",
    )
    assert "going forward again, public.seen has 2 rows instead of 1" in told(proven(kept))


def test_a_way_back_that_what_the_new_version_writes_makes_fail_is_found() -> None:
    loosened = step(
        "create table free (id integer primary key, note text); insert into free select * from orders;"
        "drop table orders; alter table free rename to orders",
        "create table strict (id integer primary key, note text not null); insert into strict select * from orders;"
        "drop table orders; alter table strict rename to orders",
    )
    assert told(proven(loosened)) == []
    [said] = told(proven(loosened, new="insert into orders (id) values (901)"))
    assert said.startswith("the way back fails once rows were written: 0002_step: line 1: NOT NULL constraint")


def test_rows_that_the_new_version_wrote_outlive_the_way_back() -> None:
    saved = step(
        "create table kept as select * from orders",
        "delete from orders; insert into orders select * from kept; drop table kept",
    )
    [old, new] = told(proven(saved))
    assert old == (
        "what the old version writes on the new schema is not what it would have written:"
        " public.orders has 2 rows instead of 3"
    )
    assert new == "+1 rows were written to public.orders on the new schema, +0 are there after the way back"


def test_what_the_old_version_writes_is_not_bent_on_the_new_schema() -> None:
    bent = step(
        "create table marker (id integer)", "update orders set note = upper(note) where id > 2; drop table marker"
    )
    [said] = told(proven(bent, new=None))
    assert said.endswith("is not what it would have written: public.orders.note has other content")


def test_what_the_old_version_draws_by_chance_is_not_held_against_it() -> None:
    chance = "insert into orders (note) values (hex(randomblob(8)))"
    assert told(proven(COLOUR, old=chance)) == []
    bent = step("create table marker (id integer)", "delete from orders where id > 2; drop table marker")
    assert any("1 rows" in said or "2 rows instead of 3" in said for said in told(proven(bent, old=chance)))


def test_what_the_new_version_wrote_to_a_rewritten_column_is_not_as_if_nobody_had_written() -> None:
    kept = step(
        "create table kept as select * from orders; update orders set note = upper(note)",
        "update orders set note = (select note from kept where kept.id = orders.id); drop table kept",
    )
    reads = "select id, note from orders"
    assert told(proven(kept, old=reads, new=None)) == []
    [said] = told(proven(kept, old=reads, new="update orders set note = 'NEW' where id = 1"))
    assert said == "what was written to public.orders.note on the new schema is something else after the way back"


def test_what_the_new_version_overwrote_outlives_the_way_back() -> None:
    saved = step(
        "create table kept as select * from orders",
        "update orders set note = (select note from kept where kept.id = orders.id) where id in (select id from kept);"
        "drop table kept",
    )
    changed = "update orders set note = 'new' where id = 1"
    [said] = told(proven(saved, old="select id, note from orders", new=changed))
    assert said == "what was written to public.orders.note on the new schema is something else after the way back"


def test_a_new_version_that_says_what_the_old_one_says_is_heard_all_the_same() -> None:
    proof = proven(COLOUR, old=OLD, new=OLD)
    assert told(proof) == []
    assert proof.rehearsal.seen["writes"].tables["public.orders"].rows == 3


def test_what_was_written_must_not_bar_the_way() -> None:
    strict = step(
        "create table t (note text not null); insert into t select nullif(note, 'new') from orders", "drop table t"
    )
    [said] = told(proven(strict, old="select id, note from orders"))
    assert said.startswith("once rows were written, it cannot go forward again: 0002_step: line 1: NOT NULL")


def test_only_expand_steps_may_do_without_a_way_back() -> None:
    assert "0002_step (contract) has no down script" in told(proven(step("drop table orders", phase="contract")))


def batched(up: str, down: str = "update orders set note = lower(note)") -> Migration:
    return step(up, down, phase="migrate", batch=1)


def test_a_backfill_is_rehearsed_batch_by_batch() -> None:
    todo = "select id from orders where note not like '%!' limit :batch"
    filled = batched(
        f"update orders set note = note || '!' where id in ({todo})", "update orders set note = rtrim(note, '!')"
    )
    proof = proven(filled, old="select id from orders", new=None)
    assert told(proof) == []
    assert proof.rehearsal.costs["0002_step"].batches == 2


def test_a_backfill_that_never_ends_does_not_hold() -> None:
    [said] = told(proven(batched("update orders set note = 'x' where id in (select id from orders limit :batch)")))
    assert said.startswith("the migration fails: 0002_step: line 1: its condition never becomes empty")


GOOD = {"noted": "select id from orders where note = ''"}
EMPTY = "update orders set note = '' where id = 2"


def asked(*steps: Migration, applied: bool = False, invariants: dict[str, str] = GOOD) -> list[str]:
    way = WayBack(steps=steps, invariants=invariants)
    return told(prove(way, walked(way, applied=applied), subject_of(way, "f", "3"), at=0.0))


def test_an_invariant_that_the_migration_breaks_does_not_hold() -> None:
    said = asked(step(EMPTY, "update orders set note = 'Ida' where id = 2", phase="migrate"))
    assert said == ["after the migration, invariant noted is broken by 1 row: (2)"]


def test_an_invariant_that_the_way_back_breaks_does_not_hold() -> None:
    said = asked(step("alter table orders add column colour text", f"alter table orders drop column colour; {EMPTY}"))
    assert "after the way back, invariant noted is broken by 1 row: (2)" in said


def test_an_invariant_that_was_broken_before_is_told_as_such_and_once() -> None:
    said = asked(COLOUR, invariants={"two": "select id from orders"})
    assert said == ["it was broken before: as the database is now, invariant two is broken by 2 rows: (1), (2)"]


def test_an_invariant_may_be_about_what_the_migration_brings() -> None:
    assert asked(COLOUR, invariants={"dull": "select id from orders where colour = 'grey'"}) == []
    [said] = asked(COLOUR, invariants={"coloured": "select id from orders where colour is null"})
    assert said == "after the migration, invariant coloured is broken by 2 rows: (1), (2)"


def test_an_invariant_that_cannot_be_asked_on_the_new_schema_does_not_hold() -> None:
    [said] = asked(COLOUR, invariants={"lost": "select nonsense from orders"})
    assert said == "after the migration, invariant lost could not be asked: no such column: nonsense"


def test_after_a_way_back_that_stops_half_way_nobody_is_asked() -> None:
    stays = step("create table stays (id integer)")
    more = step(
        "alter table orders add column colour text", f"alter table orders drop column colour; {EMPTY}", number=3
    )
    assert asked(stays, more) == []


def test_in_a_drill_what_is_broken_today_is_not_its_doing_and_what_its_walk_breaks_is() -> None:
    breaks = step("create table stays (id integer)", f"drop table stays; {EMPTY}")
    here = {"noted": GOOD["noted"], "two": "select id from orders"}
    said = asked(breaks, applied=True, invariants=here)
    assert "after the way back, invariant noted is broken by 1 row: (2)" in said
    assert not any("invariant two" in it for it in said)
