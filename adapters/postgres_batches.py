"""What PostgreSQL tells of a batched statement: how many rows its tables have, and so whether it comes to an end."""

from collections.abc import Callable, Sequence
from functools import partial

from psycopg import sql

from adapters import postgres_catalog as catalog
from adapters import postgres_script as script
from adapters.postgres_catalog import Link
from domain.schema.batched import run_out


def rows(link: Link, tables: Sequence[int]) -> int:
    """Count the rows of some tables, by OID, partitions included; views and indexes have none of their own.

    The time-outs are those of a batch, and do not count here: whoever only reads waits, and keeps nobody waiting.
    """
    with link.transaction(force_rollback=True):
        link.execute("select set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)")
        named = link.execute(
            "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.oid = any(%s) and c.relkind in ('r', 'p', 'm')",
            (list(tables),),
        ).fetchall()
        counts = [link.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(*name))) for name in named]
        return sum(int(count.fetchall()[0][0]) for count in counts)


def drain(link: Link, text: str, size: int, change: Callable[[str], int]) -> None:
    """Have `change` run a statement batch by batch, without pauses, where nobody else is."""
    line = script.statements(text)[0].line
    count = partial(rows, link, catalog.targets(link, script.names(text)))
    for _ in run_out(f"line {line}", text, size, change, count):
        pass
