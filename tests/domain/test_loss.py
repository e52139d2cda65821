"""What a way back would throw away is named, or it is said that nobody can tell."""

from domain.schema.loss import losses
from domain.schema.migration import Migration


def lost(*scripts: str) -> list[str] | None:
    found = losses([Migration(number=n, name="x", up=text) for n, text in enumerate(scripts, 1)])
    return None if found is None else [loss.says for loss in found]


def test_columns_and_tables_that_are_dropped_are_named_once() -> None:
    assert lost("alter table orders drop column channel; drop table refunds", "drop table refunds") == [
        "orders.channel",
        "refunds",
    ]


def test_rows_that_are_deleted_or_overwritten_are_lost_too() -> None:
    assert lost("delete from orders where id > 5; update items set price = 0") == ["orders", "items.price"]


def test_what_only_changes_the_schema_loses_nothing() -> None:
    assert lost("alter table orders alter note drop not null; drop index on_note; drop view v") == []


def test_nobody_can_tell_what_code_loses() -> None:
    assert lost("do $$ begin execute 'drop table t'; end $$") is None
