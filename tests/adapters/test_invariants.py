"""Invariants are asked of a database and of its copy in the same way, and change neither."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from domain.ports import Database
from domain.schema.invariant import Breach
from tests.adapters.shop import ORDERS, Shop, copied, migrate

Ask = Callable[[dict[str, str]], tuple[Breach, ...]]
SHORT = "select id from orders where note = 'bad' order by id"


@pytest.fixture(params=["the database", "its copy"])
def ask(request: pytest.FixtureRequest, subject: tuple[Database, Any]) -> Iterator[Ask]:
    database, execute = subject
    migrate(database, ORDERS)
    execute("insert into orders values (1, 'good'), (2, 'bad'), (3, 'bad'), (4, 'bad'), (5, 'bad')")
    if request.param == "the database":
        yield lambda invariants: database.breaches(invariants, 5.0)
    else:
        with copied(database) as clone:
            yield lambda invariants: clone.breaches(invariants, 5.0)


class TestContract:
    def test_what_no_row_breaks_is_not_listed(self, ask: Ask) -> None:
        assert ask({"short": "select id from orders where id > 9", "none": "select 1 where 1 = 0"}) == ()

    def test_what_rows_break_is_listed_with_their_number_and_the_first_three(self, ask: Ask) -> None:
        [one, two] = ask(
            {"short": SHORT, "fine": "select id from orders where id > 9", "pair": "select id, note from orders"}
        )
        assert one == Breach(name="short", rows=4, first=("(2)", "(3)", "(4)"))
        assert (two.name, two.rows, two.first[0]) == ("pair", 5, "(1,good)")

    def test_what_cannot_be_asked_is_listed_and_the_others_are_asked_all_the_same(self, ask: Ask) -> None:
        [lost, short] = ask({"lost": "select nonsense from orders", "short": SHORT})
        assert lost.error
        assert "nonsense" in lost.error
        assert (short.rows, short.error) == (4, None)


@pytest.mark.real
class TestPostgres:
    def test_a_question_can_change_nothing(self, shop: Shop) -> None:
        shop.execute("create table t (id int)")
        shop.execute("create function sly() returns int language sql as 'insert into t values (1) returning id'")
        for query in ("select sly()", "with x as (insert into t values (2) returning id) select id from x"):
            [found] = shop.database.breaches({"sly": query}, 5.0)
            assert found.error is not None
        assert shop.execute("select count(*) from t") == [(0,)]

    def test_one_that_takes_too_long_is_listed_and_the_next_one_is_asked(self, shop: Shop) -> None:
        [slow] = shop.database.breaches({"slow": "select pg_sleep(5)", "quick": "select 1 where false"}, 0.2)
        assert slow.error == "canceling statement due to statement timeout"

    def test_a_long_row_is_cut_short_and_a_percent_sign_is_one(self, shop: Shop) -> None:
        [long] = shop.database.breaches({"long": "select repeat('x', 999) where 'a%s' like 'a%'"}, 5.0)
        assert [len(row) for row in long.first] == [80]

    def test_a_copy_tells_which_constraints_nobody_validated(self, shop: Shop) -> None:
        shop.execute(
            "create table t (id int check (id > 0)); alter table t add constraint late check (id < 9) not valid"
        )
        with copied(shop.database) as clone:
            assert clone.look().unvalidated == ("public.t: late",)
            clone.run("alter table t validate constraint late", transactional=True, timeout=10.0)
            assert clone.look().unvalidated == ()
