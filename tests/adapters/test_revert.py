"""A migration is taken back in one piece, by the way back that it brought along, and only to where it came from."""

from collections.abc import Callable
from typing import Any

import pytest

from adapters.postgres import Postgres
from domain.errors import Conflict, Rejected
from domain.schema.migration import Migration, Recorded
from tests.adapters.shop import ORDERS, Shop, migrate, step

pytestmark = pytest.mark.real

COLOUR = step(2, "alter table orders add column colour text", down="alter table orders drop column colour")
Apply = Callable[..., Recorded]


@pytest.fixture
def database(shop: Shop) -> Postgres:
    migrate(shop.database, ORDERS.model_copy(update={"down": "drop table orders"}))
    return shop.database


@pytest.fixture
def apply(database: Postgres) -> Apply:
    def apply(migration: Migration) -> Recorded:
        migrate(database, migration)
        return database.recorded()[-1]

    return apply


def back(database: Postgres, row: Recorded, **more: Any) -> None:
    database.revert(row, **({"release": "r2", "token": 3, "lock_timeout": 0.05, "lock_budget": 2.0} | more))


def numbers(database: Postgres) -> list[int]:
    return [row.number for row in database.applied()]


def test_the_schema_and_the_list_are_those_of_before(database: Postgres, apply: Apply) -> None:
    before = database.fingerprint()
    back(database, apply(COLOUR))
    assert database.fingerprint() == before
    assert numbers(database) == [1]


def test_what_was_taken_back_can_be_applied_and_taken_back_again(database: Postgres, apply: Apply) -> None:
    back(database, apply(COLOUR))
    back(database, apply(COLOUR))
    assert numbers(database) == [1]


def test_taking_back_twice_is_fine(database: Postgres, apply: Apply) -> None:
    row = apply(COLOUR)
    back(database, row)
    back(database, row)
    assert numbers(database) == [1]


def test_a_way_back_to_another_schema_changes_nothing(database: Postgres, apply: Apply) -> None:
    row = apply(step(2, COLOUR.up, down="alter table orders drop column colour, alter note drop not null"))
    between = database.fingerprint()
    with pytest.raises(Conflict, match=r"(?s)0002_step_2: its way back leads to another schema .*nothing was changed"):
        back(database, row)
    assert (database.fingerprint(), numbers(database)) == (between, [1, 2])


def test_a_way_back_that_fails_changes_nothing(database: Postgres, apply: Apply) -> None:
    row = apply(step(2, COLOUR.up, down="alter table orders drop column colour;\ndrop table nonsense"))
    with pytest.raises(Rejected, match=r"0002_step_2.*nonsense.*nothing was changed"):
        back(database, row)
    assert numbers(database) == [1, 2]


def test_a_schema_that_somebody_changed_by_hand_is_left_alone(database: Postgres, apply: Apply, shop: Shop) -> None:
    row = apply(COLOUR)
    shop.execute("create index by_hand on orders (colour)")
    with pytest.raises(Conflict, match=r"not the one that it left"):
        back(database, row)
    assert numbers(database) == [1, 2]


def test_a_grant_by_hand_keeps_nobody_from_going_back(database: Postgres, apply: Apply, shop: Shop) -> None:
    row = apply(COLOUR)
    shop.execute("grant select on orders to public")
    back(database, row)
    assert numbers(database) == [1]


def test_the_last_one_goes_first(database: Postgres, apply: Apply) -> None:
    first = apply(COLOUR)
    apply(step(3, "create table t (id int)", down="drop table t"))
    with pytest.raises(Conflict, match="0003_step_3 came after it"):
        back(database, first)


def test_one_without_a_down_script_stays(database: Postgres, apply: Apply) -> None:
    with pytest.raises(Rejected, match="0002_step_2 has no down script"):
        back(database, apply(step(2, COLOUR.up)))


def test_an_older_owner_takes_nothing_back(database: Postgres, apply: Apply) -> None:
    row = apply(COLOUR)
    database.claim(9)
    assert database.token() == 9
    with pytest.raises(Conflict, match="token 9; mine is 3"):
        back(database, row)
    assert numbers(database) == [1, 2]


def test_nobody_queues_behind_it(database: Postgres, apply: Apply, shop: Shop) -> None:
    row = apply(COLOUR)
    with shop.session("a long report") as reader:
        reader.execute("begin")
        reader.execute("select * from orders")
        with pytest.raises(Rejected, match=r"(?s)no lock within the budget.*a long report"):
            back(database, row, lock_budget=0.5)
    back(database, row)
    assert numbers(database) == [1]


def test_a_way_back_without_a_transaction_goes_on_where_it_stopped(
    database: Postgres, apply: Apply, shop: Shop
) -> None:
    up = "-- interlock: tx=off\ncreate index concurrently one on orders (note);\nalter table orders add column a int"
    down = "-- interlock: tx=off\ndrop index concurrently one;\nalter table orders drop column a"
    row = apply(step(2, up, down=down, transactional=False))
    with shop.session("a long report") as reader:
        reader.execute("begin")
        reader.execute("select a from orders")
        with pytest.raises(Rejected):
            back(database, row, lock_budget=0.5)
    [_, half] = database.recorded()
    assert half.undone == 1  # the index waits for the report, too
    back(database, half, lock_budget=5.0)
    assert numbers(database) == [1]
