"""Whether a policy fits a database: what the domain says of its shape, and what only the server can say."""

from collections.abc import Iterator

import psycopg
from psycopg import sql

from adapters.postgres_catalog import Link, snapshot
from adapters.postgres_end import primary
from adapters.postgres_shape import shape
from adapters.postgres_subset import only, relation
from domain.data.check import problems
from domain.data.policy import Policy
from domain.data.rule import Constant
from domain.data.shape import Shape
from domain.errors import Refused


def fit(link: Link, policy: Policy) -> Shape:
    """Read the shape of a database that a policy fits; nothing is copied. Raises Refused with everything wrong."""
    with snapshot(link):
        found = shape(link)
        said = [*problems(policy, found), *_unreadable(link, policy, found)]
    if said:
        raise Refused(
            f"{len(said)} reasons to copy nothing\n" + "\n".join(said),
            "every column of every copied table needs a rule that fits; docs/data.md lists them",
        )
    return found


def _unreadable(link: Link, policy: Policy, found: Shape) -> Iterator[str]:
    """Have the server read every condition and constant."""
    for name, table in found.tables.items():
        part = policy.table(name)
        if part.where:
            query = sql.SQL("explain select from {} {} t where ({})").format(
                only(found, name), relation(name), sql.SQL(part.where)
            )
            if said := _refused(link, query):
                yield f"{name}: where: {said}"
        for column in table.written:
            rule = part.columns.get(column.name)
            if isinstance(rule, Constant):
                value = str(rule.value).lower() if isinstance(rule.value, bool) else str(rule.value)
                query = sql.SQL("select cast({} as {})").format(value, sql.SQL(column.type))
                if said := _refused(link, query):
                    yield f"{name}.{column.name}: constant: {said}"


def _refused(link: Link, query: sql.Composed) -> str | None:
    try:
        with link.transaction():
            link.execute(query, prepare=True)  # a prepared statement is one statement
    except psycopg.Error as error:
        return primary(error)
    return None
