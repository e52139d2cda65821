"""What may be run batch by batch, and how it comes to an end."""

from collections.abc import Iterator

import pytest

from domain.errors import Invalid, Rejected
from domain.schema.batched import filled, patient, run_out
from domain.schema.header import read_header
from domain.schema.lint import lint
from domain.schema.migration import Migration, read

HEAD = "-- interlock: phase=migrate batch=50 pause=100ms\n"
TAKE = "select id from orders where total is null order by id limit :batch for update skip locked"
FILL = f"update orders set total = 1 where id in ({TAKE})"


def step(up: str, down: str = "select 1") -> Migration:
    return read({"0001_fill.up.sql": up, "0001_fill.down.sql": down})[0]


def problems(up: str, down: str = "select 1") -> list[str]:
    with pytest.raises(Invalid) as caught:
        step(up, down)
    return caught.value.message.splitlines()


class TestHeader:
    def test_a_step_says_how_many_rows_it_takes_at_a_time_and_how_long_it_rests(self) -> None:
        found = step(HEAD + FILL)
        assert (found.batch, found.pause, found.transactional) == (50, 0.1, True)
        assert "limit 50 for update" in found.sql
        assert "limit :batch for update" in found.up

    def test_its_way_back_is_run_in_one_go(self) -> None:
        back = step(HEAD + FILL).undoing
        assert back is not None
        assert (back.batch, back.pause) == (None, 0.0)

    @pytest.mark.parametrize(
        "up",
        [
            f"delete from orders where id in ({TAKE})",
            f"with todo as ({TAKE}) update orders o set total = 1 from todo where todo.id = o.id",
            "insert into b select id from orders where not exists (select from b where b.id = orders.id) limit :batch",
            f"with gone as (delete from orders where id in ({TAKE}) returning id) insert into old select id from gone",
            f"update orders set total = 1 where id in ({TAKE.replace('update skip locked', 'no key update')});",
        ],
    )
    def test_one_statement_that_takes_a_limited_number_of_rows_is_fit(self, up: str) -> None:
        assert step(HEAD + up).batch == 50

    @pytest.mark.parametrize(
        ("up", "said"),
        [
            (f"-- interlock: batch=50\n{FILL}", "needs phase=migrate"),
            (f"-- interlock: phase=expand batch=50\n{FILL}", "needs phase=migrate"),
            (f"-- interlock: phase=migrate batch=many\n{FILL}", "batch=many must be a number of rows"),
            (f"-- interlock: phase=migrate batch=0\n{FILL}", "batch=0 must be a number of rows"),
            (f"-- interlock: phase=migrate batch=50 pause=soon\n{FILL}", "pause=soon must be a duration"),
            (f"-- interlock: phase=migrate batch=50 tx=on\n{FILL}", "exclude each other"),
            (f"{HEAD}{FILL.replace(':batch', '50')}", "needs a `:batch` in the script"),
            (f"{HEAD}{FILL.replace(':batch', '50')} -- :batch", "needs a `:batch` in the script"),
            (f"{HEAD}{FILL.replace('limit :batch', 'limit 5')} and id < :batch", "must be the LIMIT"),
            (f"{HEAD}{FILL}; select 1", "exactly one statement, not 2"),
            (f"{HEAD}create table t as {TAKE}", "one UPDATE, DELETE or INSERT"),
            (f"{HEAD}insert into t values (:batch)", "one UPDATE, DELETE or INSERT"),
            (f"{HEAD}{FILL.replace('for update skip locked', '')}", "needs FOR UPDATE SKIP LOCKED"),
            (f"{HEAD}{FILL.replace('set total', 'st total')}", "line 2: syntax error"),
            (f"-- interlock: phase=migrate\n{FILL}", "`:batch` needs batch= in the header"),
            ("-- interlock: phase=migrate pause=1s\nselect 1", "pause= needs batch="),
        ],
    )
    def test_what_cannot_be_run_batch_by_batch_is_told(self, up: str, said: str) -> None:
        [found] = problems(up)
        assert found.startswith("0001_fill.up.sql: ")
        assert said in found

    def test_a_way_back_has_no_batches(self) -> None:
        [found] = problems(HEAD + FILL, HEAD + FILL)
        assert found.startswith("0001_fill.down.sql: batch= is for the way there")

    def test_all_of_it_is_told_at_once(self) -> None:
        said = problems("-- interlock: phase=contract batch=x pause=y tx=off\nselect 1")
        for word in ("batch=x", "pause=y", "phase=migrate", "tx=", "`:batch` in the script"):
            assert any(word in line for line in said), word


class TestPlaceholder:
    def test_only_what_stands_for_a_number_is_one(self) -> None:
        text = "select ':batch', x::batch, \":batch\", a[1:batch], $$ :batch $$ /* :batch */ limit :batch -- :batch"
        assert filled(text, 7) == text.replace("limit :batch", "limit 7")

    def test_a_script_without_batches_may_use_the_word(self) -> None:
        assert step("-- interlock: phase=migrate\nselect x::batch, ':batch'").batch is None

    def test_a_patient_statement_waits_for_locked_rows(self) -> None:
        assert patient("select 'skip locked' for update SKIP\n LOCKED") == "select 'skip locked' for update "


class TestLint:
    def test_rows_that_are_filled_batch_by_batch_are_no_finding(self) -> None:
        whole = lint(step(f"-- interlock: phase=migrate\n{FILL.replace(':batch', '50')}"))
        assert [one.rule for one in whole.findings] == ["backfill"]
        assert lint(step(HEAD + FILL)).findings == ()
        assert [change.what for change in lint(step(HEAD + FILL)).changes] == ["update orders"]

    def test_rows_that_are_deleted_are_gone_all_the_same(self) -> None:
        found = lint(step(f"{HEAD}delete from orders where id in ({TAKE})"))
        assert [one.rule for one in found.findings] == ["delete-rows"]

    def test_the_header_on_a_way_back_is_refused_by_itself(self) -> None:
        told: list[str] = []
        read_header("0001_fill.down.sql", HEAD + FILL, told)
        assert len(told) == 1


def answers(*counts: int) -> tuple[Iterator[int], list[str]]:
    """Have a statement change so many rows each time, and note down which form of it was run."""
    left, asked = iter(counts), list[str]()

    def change(text: str) -> int:
        asked.append("patient" if "skip locked" not in text else "hasty")
        return next(left)

    return run_out("x", FILL, 10, change, lambda: 100), asked


class TestEnd:
    def test_it_is_over_when_nothing_is_left_even_among_locked_rows(self) -> None:
        running, asked = answers(10, 10, 0, 3, 0, 0)
        assert list(running) == [10, 10, 3]
        assert asked == ["hasty", "hasty", "hasty", "patient", "hasty", "patient"]

    def test_a_statement_that_changes_more_than_all_rows_twice_never_ends(self) -> None:
        running, asked = answers(*[10] * 1000)
        with pytest.raises(Rejected, match=r"x: its condition never becomes empty: 310 rows"):
            list(running)
        assert len(asked) == 31  # twice a hundred rows and ten batches, and one more

    def test_rows_are_counted_once_and_only_when_there_are_many(self) -> None:
        counted: list[int] = []
        few = iter([*[10] * 10, 0, 0])
        list(run_out("x", FILL, 10, lambda _: next(few), lambda: counted.append(1) or 100))
        assert counted == []
        many = iter([*[10] * 20, 0, 0])
        list(run_out("x", FILL, 10, lambda _: next(many), lambda: counted.append(1) or 100))
        assert counted == [1]
