"""What is found in a migration, what answers it, and what a release may not hold."""

import re
from pathlib import Path
from typing import Any

import pytest

import domain.schema
from domain.errors import Invalid
from domain.schema.consumer import Consumer
from domain.schema.header import without_allowances
from domain.schema.impact import Impact, refusals, torn
from domain.schema.lint import lint
from domain.schema.migration import Migration, read
from domain.schema.rules import RULES

SOURCES = sorted(Path(domain.schema.__file__).parent.glob("*.py"))
REPORT = Consumer(name="report", owner="finance", reads={"orders": ("total", "placed_at"), "sales.picks": ()})


def look(up: str, down: str | None = None, **more: Any) -> Impact:
    files = {"0001_x.up.sql": up} | ({} if down is None else {"0001_x.down.sql": down})
    [step] = read(files)
    return lint(step, **more)


def rules(found: Impact) -> list[str]:
    return [one.rule for one in found.findings]


def refused(found: Impact) -> list[str]:
    return [one.rule for one in refusals([found])]


CONTRACT = "-- interlock: phase=contract\n"


class TestPhase:
    def test_a_contract_statement_in_an_expand_step_is_told_with_its_line(self) -> None:
        [found] = refusals([look("\nalter table orders drop constraint c;\nalter table orders alter a drop default")])
        assert (found.rule, found.file, found.line) == ("wrong-phase", "0001_x.up.sql", 3)
        assert "drop default orders.a (contract) in phase=expand" in found.says

    def test_something_new_in_a_contract_step_is_told(self) -> None:
        assert "wrong-phase" in refused(look(f"{CONTRACT}alter table orders add column a int", ""))

    def test_an_index_or_a_looser_rule_fits_every_phase(self) -> None:
        up = f"{CONTRACT}alter table orders alter a drop not null;\nalter table orders drop constraint b;"
        assert "wrong-phase" not in rules(look(up, ""))

    def test_expand_and_contract_steps_in_one_release_are_torn(self) -> None:
        def step(number: int, phase: str) -> Migration:
            return Migration.model_validate({"number": number, "name": "x", "phase": phase, "up": ""})

        assert torn([step(1, "expand"), step(2, "migrate")]) is None
        assert torn([step(2, "contract"), step(3, "migrate")]) is None
        assert torn([step(1, "expand"), step(2, "contract")]) == "0001_x expands and 0002_x contracts in one release"


class TestTransaction:
    def test_a_second_table_is_not_queued_for_while_the_first_is_locked(self) -> None:
        up = "alter table a add x int;\nalter table a add y int;\nalter table b add z int"
        assert [(one.rule, one.line) for one in look(up, "").findings if one.rule == "several-locks"] == [
            ("several-locks", 3)
        ]
        assert "several-locks" not in rules(look(f"-- interlock: tx=off\n{up}", ""))

    def test_statements_on_one_line_are_statements_all_the_same(self) -> None:
        up = "alter table a add x int; update a set x = 1 where x is null; alter table b add z int"
        assert refused(look(up, "alter table a drop x; alter table b drop z")) == ["work-under-lock", "several-locks"]

    def test_one_statement_may_need_two_locks(self) -> None:
        up = f"{CONTRACT}alter table a add constraint f foreign key (b) references b (id) not valid"
        assert "several-locks" not in rules(look(up, "alter table a drop constraint f"))
        more = up.replace("add constraint", "add c int, add constraint")
        assert "several-locks" not in rules(look(more, "alter table a drop constraint f, drop c"))

    def test_rows_are_not_worked_on_under_a_lock_taken_before(self) -> None:
        add = "alter table orders add constraint c check (a > 0) not valid;\n"
        assert "work-under-lock" in refused(look(f"{CONTRACT}{add}alter table orders validate constraint c", ""))
        fill = "alter table orders add a int;\nupdate orders set a = 1 where a is null"
        assert "work-under-lock" in refused(look(fill, ""))
        assert "work-under-lock" not in rules(look(f"-- interlock: tx=off\n{fill}", ""))

    def test_what_cannot_run_in_a_transaction_needs_tx_off(self) -> None:
        up = "create index concurrently i on orders (a)"
        assert refused(look(up, "drop index concurrently i")) == ["concurrently-in-transaction"]
        assert refused(look(f"-- interlock: tx=off\n{up}", "drop index concurrently i")) == []

    def test_what_could_have_been_in_a_transaction_is_told(self) -> None:
        up = "-- interlock: tx=off\ncreate index concurrently i on orders (a);\nalter table orders add b int"
        assert [one.line for one in look(up).findings if one.rule == "half-done"] == [3]
        assert "half-done" not in rules(look("-- interlock: tx=off\ncreate index concurrently i on orders (a)"))


class TestWayBack:
    def test_a_missing_down_script_stops_all_but_an_expand_step(self) -> None:
        assert rules(look("alter table orders add a int")) == ["expand-stays"]
        assert refused(look("-- interlock: phase=migrate\nanalyze orders")) == ["missing-down"]

    @pytest.mark.parametrize(
        ("up", "down"),
        [
            ("alter table o add a int", "alter table o drop a"),
            ("create table o (a int); create index i on o (a)", "drop table o"),
            ("create index concurrently i on o (a)", "drop index concurrently i"),
            ("alter table o rename a to zz_dropped_a", "alter table o rename zz_dropped_a to a"),
            ("alter table o set schema zz_dropped", "alter table zz_dropped.o set schema public"),
            ("alter table o alter a set not null", "alter table o alter a drop not null"),
            ("alter table o add constraint c check (a > 0) not valid", "alter table o drop constraint c"),
            ("alter table o alter a type bigint", "alter table o alter a type int"),
            ("create view v as select 1", "drop view v"),
            ("create trigger t before insert on o for each row execute function f()", "drop trigger t on o"),
            ("alter table o attach partition p default", "alter table o detach partition p"),
            ("alter type mood rename value 'a' to 'b'", "alter type mood rename value 'b' to 'a'"),
        ],
    )
    def test_a_down_script_must_undo_each_statement(self, up: str, down: str) -> None:
        assert "not-undone" not in rules(look(up, down))
        forgotten = [one for one in look(up, "select 1").findings if one.rule == "not-undone"]
        assert forgotten
        assert {one.file for one in forgotten} == {"0001_x.down.sql"}

    def test_undoing_something_else_is_not_undoing(self) -> None:
        assert "not-undone" in refused(look("alter table o add note text", "alter table o drop notes"))

    def test_the_way_back_may_hide_nothing_either(self) -> None:
        assert "opaque" in refused(look("create table o (a int)", "do $$ begin end $$"))
        assert "cascade" in refused(look("create table o (a int)", "drop table o cascade"))
        assert "syntax" in refused(look("create table o (a int)", "drop tabel o"))


class TestAnswer:
    UP = "alter table orders add a uuid default gen_random_uuid();"
    ALLOW = '-- interlock: allow=volatile-default reason="40 rows"'

    @pytest.mark.parametrize(
        "script",
        [
            "{allow}\n{up}",
            "{up} {allow}",
            "select 1;\n{allow}\n\n{up}\nselect 2;",
            "alter table orders\n  add b int,\n{allow}\n  add a uuid default gen_random_uuid();",
        ],
    )
    def test_a_reason_beside_the_statement_answers_a_finding(self, script: str) -> None:
        found = look(script.format(allow=self.ALLOW, up=self.UP))
        assert refused(found) == []
        assert {one.reason for one in found.findings if one.rule == "volatile-default"} == {"40 rows"}

    def test_an_answer_covers_no_other_statement_and_no_other_rule(self) -> None:
        other = self.UP.replace(" a ", " b ")
        assert refused(look(f"{self.ALLOW}\n{self.UP}\n{other}")) == ["volatile-default"]
        late = look(f"{self.UP}\n{self.ALLOW}\nselect 1")
        assert sorted(rules(late)) == ["expand-stays", "unused-allow", "volatile-default"]

    def test_an_answer_needs_a_rule_and_a_reason(self) -> None:
        with pytest.raises(Invalid) as caught:
            look(
                '-- interlock: allow=cascade\n-- interlock: allow=hope reason="x"\n-- interlock: allow=lossy reason=""'
            )
        assert caught.value.message.splitlines() == [
            '0001_x.up.sql:1: allow=cascade needs a reason="…"',
            "0001_x.up.sql:2: allow=hope: there is no such rule",
            '0001_x.up.sql:3: allow=lossy needs a reason="…"',
        ]

    def test_an_answer_that_comes_later_does_not_edit_a_migration_that_was_applied(self) -> None:
        before, after = f"select 1;\n{self.UP}\n", f"select 1;\n{self.ALLOW}\n{self.UP}\n"
        assert without_allowances(after) == before
        known = {"number": 1, "name": "x"}
        one, other, edited = (Migration(**known, up=up) for up in (before, after, before + "select 2"))
        assert one.checksum == other.checksum != edited.checksum


class TestConsumers:
    @pytest.mark.parametrize(
        "up",
        [
            "alter table orders drop column total",
            "alter table public.orders rename column total to sum",
            "alter table orders alter total type numeric",
            "update orders set total = 0 where id = 1",
            "drop table orders",
            "truncate orders",
            "alter table sales.picks drop column headline",
            "drop schema sales",
        ],
    )
    def test_a_change_of_what_somebody_reads_is_refused_with_the_name(self, up: str) -> None:
        found = [one for one in look(up, "", consumers=[REPORT]).findings if one.rule == "consumer"]
        assert [one.what.partition(" is read by ")[2] for one in found] == ["report (ask finance)"]
        assert refusals([look(up, "", consumers=[REPORT])])
        assert "consumer" not in rules(look(up, ""))

    @pytest.mark.parametrize(
        "up",
        [
            "alter table orders drop column note",
            "alter table orders add column total_net int",
            "alter table picks drop column headline",
            "create index on orders (total)",
        ],
    )
    def test_what_nobody_reads_may_change(self, up: str) -> None:
        assert "consumer" not in rules(look(up, "", consumers=[REPORT]))


class TestHeader:
    def test_all_that_is_wrong_is_told_at_once_with_file_and_line(self) -> None:
        files = {
            "0001_a.up.sql": "select 1;\n-- interlock: phase=sideways colour=red\n-- interlock: tx=maybe nonsense",
            "0001_a.down.sql": "-- interlock: timeout=soon",
            "0002_b.up.sql": "-- interlock: tx=on\n-- interlock: tx=off",
        }
        with pytest.raises(Invalid) as caught:
            read(files)
        assert sorted(caught.value.message.splitlines()) == [
            "0001_a.down.sql:1: timeout=soon must be a duration such as 30s",
            "0001_a.up.sql:2: header key 'colour' is unknown",
            "0001_a.up.sql:2: phase=sideways must be expand, migrate or contract",
            "0001_a.up.sql:3: 'nonsense' is not key=value",
            "0001_a.up.sql:3: tx=maybe must be on or off",
            "0002_b.up.sql:2: tx is given twice",
        ]


def test_a_comment_in_the_body_of_a_function_is_no_header() -> None:
    body = "create function f() returns int language sql as 'select 1; -- interlock: phase=contract'"
    [step] = read({"0001_x.up.sql": body})
    assert step.phase == "expand"


def test_a_broken_script_is_one_finding_and_no_guess() -> None:
    found = look("select 1;\ncreate tabel x ()")
    assert (rules(found), found.changes, found.findings[0].line) == (["syntax"], (), 2)


def test_every_rule_says_what_happens_and_what_to_write_instead() -> None:
    named = set(re.findall(r'"([a-z]+(?:-[a-z]+)*)"', "".join(p.read_text() for p in SOURCES if p.stem != "rules")))
    assert RULES.keys() <= named  # each is raised somewhere
    assert all(rule.happens and rule.instead for rule in RULES.values())
