"""A database's shape, read from its catalogs inside a snapshot: tables, columns, unique indexes, foreign keys."""

from collections import defaultdict
from typing import Any, LiteralString

from adapters.postgres_catalog import Link
from domain.data.shape import MINE, Column, Family, ForeignKey, Shape, Table

_FAMILIES: dict[str, Family] = {
    **dict.fromkeys(("text", "varchar", "bpchar", "citext"), "text"),
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    **dict.fromkeys(("numeric", "float4", "float8"), "numeric"),
    **dict.fromkeys(("date", "timestamp", "timestamptz"), "date"),
    **dict.fromkeys(("json", "jsonb"), "json"),
    "uuid": "uuid",
    "bool": "boolean",
}
# A partition is part of its parent; what an extension made is the extension's.
_TABLES: LiteralString = """
with tables as (
  select c.oid, n.nspname || '.' || c.relname as name, c.relkind = 'p' as partitioned
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
    and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'interlock_capture')
    and not exists (select from pg_depend d
      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
)
"""
_COLUMNS: LiteralString = """
, kinds as (  -- a domain stands for what is under it
  with recursive down as (
    select oid as id, oid, typname, typnamespace, typtype, typbasetype, typtypmod, typcategory, typelem, typnotnull
    from pg_type
    union all
    select d.id, t.oid, t.typname, t.typnamespace, t.typtype, t.typbasetype,
      case when d.typtypmod >= 0 then d.typtypmod else t.typtypmod end, t.typcategory, t.typelem,
      t.typnotnull or d.typnotnull
    from down d join pg_type t on t.oid = d.typbasetype where d.typtype = 'd'
  ) select * from down where typtype <> 'd'
)
select t.name, t.partitioned, a.attname, format_type(a.atttypid, a.atttypmod), k.typname, k.typtype = 'e',
  case when k.typname in ('varchar', 'bpchar') and coalesce(nullif(a.atttypmod, -1), k.typtypmod) > 4
    then coalesce(nullif(a.atttypmod, -1), k.typtypmod) - 4 end,
  not a.attnotnull and not k.typnotnull, a.attgenerated <> '', a.atthasdef or a.attidentity <> '',
  k.typnamespace = 'pg_catalog'::regnamespace or k.typtype = 'e' or k.typname = 'citext',
  (select array_agg(e.enumlabel::text order by e.enumsortorder) from pg_enum e where e.enumtypid = k.oid)
from tables t left join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
left join kinds k on k.id = a.atttypid
order by t.name, a.attnum
"""
# An index on an expression depends on the columns that it reads, and so does a partial one on those of its condition.
_UNIQUES: LiteralString = """
select t.name, (select array_agg(distinct a.attname::text) from pg_attribute a where a.attrelid = t.oid and a.attnum > 0
  and (a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1]) or exists (select from pg_depend d
    where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid and d.refobjid = t.oid
      and d.refobjsubid = a.attnum and (i.indexprs is not null or i.indpred is not null))))
from tables t join pg_index i on i.indrelid = t.oid where i.indisunique order by t.name, not i.indisprimary
"""
_KEYS: LiteralString = """
select t.name, k.conname, p.name,
  (select array_agg(a.attname::text order by o.n) from unnest(k.conkey) with ordinality o(c, n)
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = o.c),
  (select array_agg(a.attname::text order by o.n) from unnest(k.confkey) with ordinality o(c, n)
    join pg_attribute a on a.attrelid = k.confrelid and a.attnum = o.c)
from pg_constraint k join tables t on t.oid = k.conrelid join tables p on p.oid = k.confrelid
where k.contype = 'f' and k.conparentid = 0 order by t.name, k.conname
"""


def shape(link: Link) -> Shape:
    """Read the shape of the database that a snapshot shows."""
    columns: dict[str, list[Column]] = defaultdict(list)
    partitioned: dict[str, bool] = {}
    for name, parts, *column in link.execute(_TABLES + _COLUMNS).fetchall():
        partitioned[name] = parts
        if column[0] is not None:
            columns[name].append(_column(column))
    uniques, keys = _grouped(link, _UNIQUES), _grouped(link, _KEYS)
    servers = link.execute("select srvname from pg_foreign_server order by 1").fetchall()
    tables = {
        name: Table(
            name=name,
            columns=tuple(columns[name]),
            uniques=tuple(tuple(row[0]) for row in uniques[name]),
            keys=tuple(
                ForeignKey(name=key, table=name, columns=tuple(here), target=target, target_columns=tuple(there))
                for key, target, here, there in keys[name]
            ),
            partitioned=parts,
        )
        for name, parts in partitioned.items()
        if name not in MINE
    }
    return Shape(tables=tables, foreign=tuple(name for (name,) in servers))


def _column(found: list[Any]) -> Column:
    name, written, base, is_enum, limit, nullable, computed, default, portable, labels = found
    return Column(
        name=name,
        type=written,
        base=base,
        family="enum" if is_enum else _FAMILIES.get(base, "other"),
        limit=limit,
        nullable=nullable,
        computed=computed,
        default=default,
        portable=portable,
        labels=tuple(labels or ()),
    )


def _grouped(link: Link, query: LiteralString) -> dict[str, list[tuple[Any, ...]]]:
    found = defaultdict(list)
    for name, *rest in link.execute(_TABLES + query).fetchall():
        found[name].append(tuple(rest))
    return found
