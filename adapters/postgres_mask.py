"""What a rule is in SQL: expressions that agree, value by value, with domain/data/pseudonym.py.

The key's two pads travel as settings of the session (`settings`), never in a statement: neither the server's log nor
pg_stat_activity shows them. Every expression is NULL where its column is.
"""

from collections.abc import Mapping
from typing import LiteralString

from psycopg import sql

from domain.data.pseudonym import CARD, ENDINGS, ONSETS, PHONE, bounds_of, check_digit, pads
from domain.data.rule import (
    Card,
    Choice,
    Constant,
    Email,
    Keep,
    Null,
    Number,
    PersonName,
    Phone,
    Rule,
    Shift,
    Text,
    Truncate,
    Uuid,
)
from domain.data.shape import Column, Table

# Each pad is read once a statement: a subquery that depends on no row.
_HMAC: LiteralString = (
    "sha256((select decode(current_setting('interlock.outer'), 'hex')) ||"
    " sha256((select decode(current_setting('interlock.inner'), 'hex')) || convert_to({}, 'UTF8')))"
)
_NUMBER = sql.SQL("('x' || substr(h, 1, 15))::bit(60)::bigint")  # 60 bits: what a signed bigint holds without a sign


def settings(key: str) -> Mapping[str, str]:
    """Give the session settings that pseudonyms need."""
    outer, inner = pads(key)
    return {"interlock.outer": outer.hex(), "interlock.inner": inner.hex()}


def masked(table: Table, column: Column, rule: Rule) -> sql.Composable:
    """Write what the copy holds of column `t.NAME`, in the column's own type."""
    plain = sql.SQL("t.{}").format(sql.Identifier(column.name))
    match rule:
        case Keep():
            return plain
        case Null():
            made: sql.Composable = sql.SQL("null")
        case Constant(value=value):
            made = sql.Literal(str(value).lower() if isinstance(value, bool) else str(value))
        case Truncate(to=to):
            made = sql.SQL("date_trunc({}, {})").format(sql.Literal(to), plain)
        case Shift():
            made = _shifted(rule, table, column, plain)
        case _:
            made = _pseudonym(rule, column, plain)
    return sql.SQL("cast({} as {})").format(made, sql.SQL(column.type))


def _pseudonym(rule: Rule, column: Column, plain: sql.Composable) -> sql.Composable:
    made: sql.Composable
    match rule:
        case Email(bits=bits, at=at):
            made = sql.SQL("'u' || substr(h, 1, {}) || {}").format(bits // 4, f"@{at}")
        case PersonName(form=form):
            given, family = _word(1), _word(5)
            both = sql.SQL("{} || ' ' || {}").format(given, family)
            made = {"full": both, "given": given, "family": family}[form]
        case Phone():
            made = sql.SQL("{} || lpad(({} % 1000000000000)::text, 12, '0')").format(PHONE, _NUMBER)
        case Card(luhn=luhn):
            return _card(luhn == "fails", _hashed(rule.domain, column, plain))
        case Text(bits=bits, prefix=prefix):
            made = sql.SQL("{} || substr(h, 1, {})").format(prefix, bits // 4)
        case Uuid():
            made = sql.SQL("substr(h, 1, 32)::uuid")
        case Number():
            made = sql.SQL("('x' || substr(h, 1, 16))::bit(64)::bigint")
            if bounds := bounds_of(rule, column.base):
                made = sql.SQL("{} + {} % {}").format(bounds[0], _NUMBER, bounds[1] - bounds[0] + 1)
        case Choice(values=values):
            made = sql.SQL("({})[1 + {} % {}]").format(_array(values), _NUMBER, len(values))
        case _:
            raise AssertionError(f"{rule.kind} needs no pseudonym: it is answered before")
    return sql.SQL("(select {} from {} p(h))").format(made, _hashed(rule.domain, column, plain))


def _shifted(rule: Shift, table: Table, column: Column, plain: sql.Composable) -> sql.Composable:
    by = table.column(rule.by) if rule.by else None
    about = sql.SQL("t.{}").format(sql.Identifier(by.name)) if by else plain
    moved = sql.SQL("(select ({} % {} - {})::integer from {} p(h))").format(
        _NUMBER, 2 * rule.days + 1, rule.days, _hashed(rule.domain, by or column, about)
    )
    # Without the column that it goes by, a date would stand unmoved: it becomes NULL instead.
    return sql.SQL("{} + {} * interval '1 day'").format(plain, moved)


def _hashed(domain: str, column: Column, plain: sql.Composable) -> sql.Composable:
    """Write a table of one row with the hash's 64 digits; `offset 0` keeps it from being computed once per use."""
    text = sql.SQL("{}::text").format(plain)
    if column.base == "citext":  # what is equal there must stay equal
        text = sql.SQL("lower({})").format(text)
    about = sql.SQL("{} || {}").format(f"{domain}/", text)
    return sql.SQL("(select encode({}, 'hex') offset 0)").format(sql.SQL(_HMAC).format(about))


def _word(at: int) -> sql.Composable:
    """Write a name out of two bytes of the hash; `at` counts its digits from 1, and of a byte the second decides."""
    digit: LiteralString = "({})[1 + ('x' || substr(h, {}, 1))::bit(4)::integer]"
    parts = ((ONSETS, at + 1), (ENDINGS, at + 3))
    return sql.SQL(" || ").join(sql.SQL(digit).format(_array(words), place) for words, place in parts)


def _card(fails: bool, hashed: sql.Composable) -> sql.Composable:
    """Write a card number: nine digits after the prefix, and a check digit that is right, or off by one."""
    known = 10 - check_digit(f"{CARD}{0:09}")  # what the prefix adds to the sum: the right digit completes it to ten
    terms = [sql.Literal(known)]
    for place in range(1, 10):  # from the left; the last one is doubled, and every other before it
        source: LiteralString = "translate(s, '0123456789', '0246813579')" if place % 2 else "s"
        terms.append(sql.SQL("substr(" + source + ", {}, 1)::integer").format(place))  # type: ignore[arg-type]
    total = sql.SQL(" + ").join(terms)
    check: LiteralString = "((10 - ({}) % 10 + {}) % 10)::text"
    digits = sql.SQL("(select lpad(({} % 1000000000)::text, 9, '0') from {} p(h) offset 0)").format(_NUMBER, hashed)
    return sql.SQL("(select {} || s || {} from {} q(s))").format(CARD, sql.SQL(check).format(total, int(fails)), digits)


def _array(words: tuple[str, ...]) -> sql.Composable:
    return sql.SQL("array[{}]::text[]").format(sql.SQL(", ").join(map(sql.Literal, words)))
