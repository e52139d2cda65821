"""What the server computes is what the definition says; and the key is in no statement."""

import psycopg
import pytest
from psycopg import sql

from adapters.postgres_end import End
from adapters.postgres_mask import masked, settings
from adapters.postgres_shape import shape
from domain.data.pseudonym import days, pseudonym
from domain.data.rule import Card, Choice, Email, Number, PersonName, Phone, Pseudonym, Shift, Text, Uuid
from tests.adapters.copied import KEY, Copied

pytestmark = pytest.mark.real

RULES: tuple[Pseudonym, ...] = (
    Email(), Email(bits=128, at="shop.test"), PersonName(), PersonName(form="given"), PersonName(form="family"),
    Phone(), Card(), Card(luhn="passes"), Text(), Text(prefix="x-", bits=256), Uuid(), Number(), 
    Number(at_least=5, at_most=19), Choice(values=("a", "b'c", "d")), Text(domain="other"),
)  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("key", [KEY, "ö" * 40, "k" * 200])
def test_the_sql_agrees_with_the_definition(server: str, rule: Pseudonym, key: str) -> None:
    values = ["", "a", "ada@shop.com", "Ö ü 名", "x" * 300, "it's", "100%", "back\\slash", *map(str, range(40))]
    kind = {"number": "bigint", "uuid": "uuid"}.get(rule.kind, "text")
    with End(server).link(settings(key)) as link:
        link.execute("create schema there")
        link.execute(f"create table there.plain (v text, w {kind})".encode())
        [table] = [table for name, table in shape(link).tables.items() if name == "there.plain"]
        text, typed = table.columns
        column = text.model_copy(update={"type": typed.type, "base": typed.base})
        query = sql.SQL("select {}::text from unnest({}::text[]) with ordinality t(v, n) order by n")
        made = [cell for (cell,) in link.execute(query.format(masked(table, column, rule), [*values, None]))]
        link.execute("drop schema there cascade")
    assert made == [*(pseudonym(rule, key, value, typed.base) for value in values), None]


def test_a_shifted_date_moves_with_the_column_that_it_goes_by(copied: Copied) -> None:
    copied.refresh()
    rule = Shift(by="id")
    born = dict(copied.shop.execute("select id, born from customers"))
    for number, moved in copied.execute("select id, born from customers"):
        assert (moved - born[number]).days == days(rule, KEY, str(number))


def test_the_key_is_in_no_statement(copied: Copied, server: str) -> None:
    seen: list[str] = []

    def look(_: str) -> None:
        with psycopg.connect(server, autocommit=True) as link:
            seen.extend(query for (query,) in link.execute("select query from pg_stat_activity").fetchall())

    copied.refresh(say=look)
    pads = settings(KEY).values()
    assert any("interlock.outer" in query for query in seen)
    assert not any(secret in query for query in seen for secret in (KEY, KEY.encode().hex(), *pads))
