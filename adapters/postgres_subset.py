"""The rows of a subset, found on the source by a plan of domain/data/subset.py and kept as row ids in temporary tables.

Inside one snapshot a row's place (ctid) does not change, so tables need no primary key. The temporary tables are made
before the snapshot is taken: within it the session may write nothing else.
"""

from collections.abc import Mapping
from typing import LiteralString

from psycopg import errors, sql

from adapters.postgres_catalog import Link
from domain.data.shape import Shape
from domain.data.subset import Bring, Pick, Plan
from domain.errors import Invalid

_KEPT: LiteralString = """
create temporary table {} (part oid, place tid, turn integer not null, primary key (part, place))
"""
_PICK: LiteralString = "insert into {into} select t.tableoid, t.ctid, 0 from {only} {table} t where ({where})"
_BRING: LiteralString = """
insert into {into} select distinct a.tableoid, a.ctid, {turn}::integer from {only_added} {added} a
join (select s.* from {only_source} {source} s {chosen}) s on {pairs}
on conflict do nothing
"""
_CHOSEN: LiteralString = "join {kept} k on k.part = s.tableoid and k.place = s.ctid and k.turn >= {since}"

Kept = Mapping[str, str]
"""The temporary table of each table that is copied in part."""


def relation(name: str) -> sql.Identifier:
    """Write schema.table as SQL."""
    return sql.Identifier(*name.split(".", 1))


def only(shape: Shape, name: str) -> sql.SQL:
    """Keep children by inheritance, tables of their own, out of a table's rows; a partitioned table is its parts."""
    return sql.SQL("" if shape.tables[name].partitioned else "only")


def prepare(link: Link, plan: Plan) -> Kept:
    """Make the temporary tables, before the snapshot. Raises Invalid on a standby."""
    kept = {name: f"interlock_rows_{number}" for number, name in enumerate(plan.partial)}
    try:
        for name in kept.values():
            link.execute(sql.SQL(_KEPT).format(sql.Identifier("pg_temp", name)))
    except errors.ReadOnlySqlTransaction as error:
        raise Invalid("a subset needs temporary tables, which a standby has not", "copy from the primary") from error
    return kept


def choose(link: Link, plan: Plan, shape: Shape, kept: Kept) -> None:
    """Fill the temporary tables, inside the snapshot."""
    for pick in plan.picks:
        link.execute(_picking(pick, shape, kept))
    turn = 0
    for each in plan.rounds:
        since, turn = 0, turn + 1
        while sum([link.execute(_bringing(step, shape, kept, since, turn)).rowcount for step in each.steps]):
            if not each.again:
                break
            since, turn = turn, turn + 1  # only what the last turn added can bring more
    for name in kept.values():
        link.execute(sql.SQL("analyze {}").format(sql.Identifier("pg_temp", name)))


def chosen(name: str, kept: Kept) -> sql.Composable:
    """Write the condition that a row `t` of a table is in the subset."""
    if name not in kept:
        return sql.SQL("true")
    return sql.SQL("(t.tableoid, t.ctid) in (select part, place from {})").format(sql.Identifier("pg_temp", kept[name]))


def _picking(pick: Pick, shape: Shape, kept: Kept) -> sql.Composed:
    return sql.SQL(_PICK).format(
        into=sql.Identifier("pg_temp", kept[pick.table]),
        only=only(shape, pick.table),
        table=relation(pick.table),
        where=sql.SQL(pick.where),  # the policy's author writes SQL
    )


def _bringing(step: Bring, shape: Shape, kept: Kept, since: int, turn: int) -> sql.Composed:
    key = step.key
    there, here = (key.target_columns, key.columns) if step.up else (key.columns, key.target_columns)
    pairs = (
        sql.SQL("a.{} = s.{}").format(sql.Identifier(one), sql.Identifier(other))
        for one, other in zip(there, here, strict=True)
    )
    source = kept.get(step.source)
    held = sql.Identifier("pg_temp", source) if source else None
    return sql.SQL(_BRING).format(
        into=sql.Identifier("pg_temp", kept[step.adds]),
        turn=turn,
        only_added=only(shape, step.adds),
        added=relation(step.adds),
        only_source=only(shape, step.source),
        source=relation(step.source),
        chosen=sql.SQL(_CHOSEN).format(kept=held, since=since) if held else sql.SQL(""),
        pairs=sql.SQL(" and ").join(pairs),
    )
