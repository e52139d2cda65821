"""A backup knows more than rows: how far each sequence has come, and how it was made."""

import io

import pytest

from domain.errors import Rejected
from tests.adapters.shop import Shop

pytestmark = pytest.mark.real


def test_a_sequence_that_would_give_out_numbers_again_is_named(shop: Shop) -> None:
    shop.execute("create table t (id bigint generated always as identity)")
    shop.execute("insert into t select from generate_series(1, 40)")
    first, second = io.BytesIO(), io.BytesIO()
    backup = shop.database.backup(first)
    shop.execute("select setval('t_id_seq', 7)")
    shop.database.backup(second)
    shop.database.verify(io.BytesIO(first.getvalue()), backup)
    with pytest.raises(Rejected, match=r"sequence public\.t_id_seq is at 7, and had come to 40"):
        shop.database.verify(io.BytesIO(second.getvalue()), backup)


def test_numbers_that_were_given_out_while_it_was_taken_do_no_harm(shop: Shop) -> None:
    shop.execute("create table t (id bigint generated always as identity)")
    early, into = shop.database.backup(io.BytesIO()), io.BytesIO()
    shop.execute("select nextval('t_id_seq') from generate_series(1, 3)")
    shop.database.backup(into)
    shop.database.verify(io.BytesIO(into.getvalue()), early)


def test_a_backup_that_was_made_another_way_is_not_this_ones_to_verify(shop: Shop) -> None:
    into = io.BytesIO()
    backup = shop.database.backup(into)
    with pytest.raises(Rejected, match="'plain text'"):
        shop.database.verify(io.BytesIO(into.getvalue()), backup.model_copy(update={"format": "plain text"}))
