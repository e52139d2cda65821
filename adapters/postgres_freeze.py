"""A freeze: for a moment, or until further notice, nobody writes to a database.

Locks, and not `default_transaction_read_only`: that is read when a session begins, any session may change it back, and
a transaction that is under way writes on. A lock in the mode SHARE ROW EXCLUSIVE is granted when the last writer has
ended, keeps every later one waiting without an error, and lets everybody read. What stays frozen gets a trigger on each
table in the same transaction: whoever has waited is told then that the database was replaced.
"""

import time
from collections.abc import Callable
from typing import LiteralString

from psycopg import sql

from adapters import postgres_capture as capture
from adapters.postgres_catalog import SCOPE, Link
from adapters.postgres_errand import READERS, Deed, Errand, Manners
from adapters.postgres_marks import here

_TABLES: LiteralString = """
select format('%I.%I', nspname, relname), id from relation where relkind in ('r', 'p') order by 1
"""
_REFUSE: LiteralString = """
create or replace function interlock_capture.frozen() returns trigger language plpgsql as {};
delete from interlock_capture.frozen; insert into interlock_capture.frozen values ({});
"""
_BODY: LiteralString = """begin
  if {here} then
    raise exception '%', {said} using errcode = 'read_only_sql_transaction', hint = {hint};
  end if;
  return null;
end"""
_ON: LiteralString = """
create or replace trigger interlock_frozen before insert or update or delete or truncate on {table}
  for each statement execute function interlock_capture.frozen();
alter table {table} enable always trigger interlock_frozen;
"""


def freeze(link: Link, manners: Manners, longest: float, during: Callable[[], None]) -> int:
    """Do something while nobody writes; returns for how many milliseconds nobody did. `link` is for nothing else.

    Writers wait, and go on when it is over. If `during` fails it is over at once; so it is when the session says
    nothing for `longest` seconds. Raises Rejected when the locks are not granted within the budget.
    """
    tables: dict[str, int] = dict(link.execute(SCOPE + _TABLES).fetchall())
    names = sql.SQL(", ").join([sql.SQL(name) for name in tables])
    locks = sql.SQL("lock table {} in share row exclusive mode").format(names).as_string(link)
    deed = Deed(number=0, name="freeze", up=locks)
    turn = Errand(link, deed, "freeze", manners.token, manners.lock_timeout, manners.lock_budget)
    turn.beside, turn.tables = READERS, list(tables.values())
    took = 0.0

    def held(began: float) -> None:
        nonlocal took
        during()
        took = began

    with turn.alone():
        turn.set("idle_in_transaction_session_timeout", longest)
        turn.whole(held)
    return round((time.monotonic() - took) * 1000)


def keep_frozen(link: Link, successor: str) -> None:
    """Refuse every write from the end of the transaction on, in the name of the database that took this one's place."""
    capture.prepare(link)
    said = sql.Literal(f"nothing may be written here any more: {successor} has taken this database's place")
    hint = sql.Literal("connect to that one; `interlock schema capture --thaw` lets this one be written to again")
    body = sql.SQL(_BODY).format(here=here(link), said=said, hint=hint).as_string(link)
    link.execute(sql.SQL(_REFUSE).format(sql.Literal(body), sql.Literal(successor)))
    for table, _ in link.execute(SCOPE + _TABLES).fetchall():
        link.execute(sql.SQL(_ON).format(table=sql.SQL(table)))


def thaw(link: Link, manners: Manners) -> None:
    """Let a frozen database be written to again; any other is left as it is. Raises Rejected without a lock."""
    tables: dict[str, int] = dict(link.execute(SCOPE + _TABLES).fetchall())
    drop = [sql.SQL("drop trigger if exists interlock_frozen on {};").format(sql.SQL(name)) for name in tables]
    forget = sql.SQL("delete from interlock_capture.frozen")
    if not capture.exists(link):
        return
    deed = Deed(number=0, name="end of the freeze", up=sql.Composed([*drop, forget]).as_string(link))
    turn = Errand(link, deed, "freeze", manners.token, manners.lock_timeout, manners.lock_budget)
    turn.tables = list(tables.values())
    with turn.alone():
        turn.whole(lambda _: None)
