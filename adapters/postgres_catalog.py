"""What PostgreSQL's catalogs tell: the schema's fingerprint, and who holds locks."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg

Link = psycopg.Connection[tuple[Any, ...]]

STRUCTURE = 48  # hex digits of a fingerprint that a dump carries; the rest is grants and extension versions

SCOPE: LiteralString = """
with member as (
  select classid, objid from pg_depend where deptype = 'e'
), space as (
  select n.oid, n.nspname, n.nspowner, n.nspacl from pg_namespace n
  where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'interlock_capture')
    and ('pg_namespace'::regclass, n.oid) not in (select classid, objid from member)
), relation as (
  select c.oid as id, s.nspname, c.* from pg_class c join space s on s.oid = c.relnamespace
  where not (s.nspname = 'public' and c.relname in ('interlock_migrations', 'interlock_fence', 'interlock_copy'))
    and ('pg_class'::regclass, c.oid) not in (select classid, objid from member)
), routine as (
  select p.oid as id, s.nspname, p.* from pg_proc p join space s on s.oid = p.pronamespace
  where ('pg_proc'::regclass, p.oid) not in (select classid, objid from member)
), kind as (
  select t.oid as id, s.nspname, t.* from pg_type t join space s on s.oid = t.typnamespace
  where ('pg_type'::regclass, t.oid) not in (select classid, objid from member)
)
"""
# Names instead of OIDs, definitions instead of states, no owners, no column positions: what dump and restore keep.
# NOT NULL counts as a property of its column, since PostgreSQL before 18 has no constraint for it.
_STRUCTURE: dict[str, LiteralString] = {
    "schemas": "select nspname from space",
    "relations": """select nspname, relname, relkind, relpersistence, relrowsecurity, relforcerowsecurity, relreplident,
        pg_get_partkeydef(id), pg_get_expr(relpartbound, id),
        (select array_agg(o order by o) from unnest(reloptions) o),
        case when relkind in ('v', 'm') then pg_get_viewdef(id) end
        from relation where relkind in ('r', 'p', 'v', 'm', 'f', 'c')""",
    "parents": """select r.nspname, r.relname, i.inhparent::regclass::text
        from relation r join pg_inherits i on i.inhrelid = r.id where r.relkind in ('r', 'p', 'f')""",
    "columns": """select r.nspname, r.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid),
        case when a.attcollation <> t.typcollation then a.attcollation::regcollation::text end
        from relation r join pg_attribute a on a.attrelid = r.id join pg_type t on t.oid = a.atttypid
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where r.relkind in ('r', 'p', 'v', 'm', 'f', 'c') and a.attnum > 0 and not a.attisdropped""",
    "constraints": """select coalesce(r.nspname, t.nspname), coalesce(r.relname, t.typname),
        case when k.contype <> 'n' then k.conname end, k.contype, k.convalidated, pg_get_constraintdef(k.oid)
        from pg_constraint k left join relation r on r.id = k.conrelid left join kind t on t.id = k.contypid
        where (r.id is not null or t.id is not null) and k.conparentid = 0 and k.contype <> 't'
          and (k.contype <> 'n' or not k.convalidated)""",
    "indexes": """select r.nspname, r.relname, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisreplident
        from pg_index i join relation r on r.id = i.indrelid where r.relkind in ('r', 'p', 'm')""",
    "triggers": """select r.nspname, r.relname, g.tgname, g.tgenabled, pg_get_triggerdef(g.oid)
        from pg_trigger g join relation r on r.id = g.tgrelid join pg_proc p on p.oid = g.tgfoid
        where not g.tgisinternal and p.pronamespace is distinct from to_regnamespace('interlock_capture')""",
    "rules": """select r.nspname, r.relname, w.rulename, w.ev_enabled, pg_get_ruledef(w.oid)
        from pg_rewrite w join relation r on r.id = w.ev_class where w.rulename <> '_RETURN'""",
    "policies": """select r.nspname, r.relname, p.polname, p.polcmd, p.polpermissive,
        (select array_agg(coalesce(u.rolname, 'public') order by u.rolname)
          from unnest(p.polroles) o left join pg_roles u on u.oid = o),
        pg_get_expr(p.polqual, r.id), pg_get_expr(p.polwithcheck, r.id)
        from pg_policy p join relation r on r.id = p.polrelid""",
    "functions": """select nspname, proname, pg_get_function_identity_arguments(id), prokind,
        case when prokind <> 'a' then pg_get_functiondef(id) else pg_get_function_result(id) end from routine""",
    "types": """select k.nspname, k.typname, k.typtype, format_type(k.typbasetype, k.typtypmod), k.typnotnull,
        k.typdefault, (select array_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = k.id),
        (select format_type(g.rngsubtype, null) from pg_range g where g.rngtypid = k.id)
        from kind k where k.typtype in ('d', 'e', 'r')""",
    "sequences": """select r.nspname, r.relname, format_type(q.seqtypid, null), q.seqstart, q.seqincrement, q.seqmin,
        q.seqmax, q.seqcache, q.seqcycle, (select d.refobjid::regclass::text || '.' || a.attname from pg_depend d
          join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
          where d.classid = 'pg_class'::regclass and d.objid = r.id and d.deptype in ('a', 'i'))
        from pg_sequence q join relation r on r.id = q.seqrelid""",
    "statistics": """select s.nspname, x.stxname, pg_get_statisticsobjdef(x.oid)
        from pg_statistic_ext x join space s on s.oid = x.stxnamespace""",
    "extensions": "select e.extname, n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace",
}
# A dump names no extension version, and a restore without privileges has no grants. An owner's own rights are left out.
_AROUND: dict[str, LiteralString] = {
    "grants": """select what, schema, name, case x.grantee when 0 then 'public' else pg_get_userbyid(x.grantee) end,
        x.privilege_type, x.is_grantable from (
          select 'relation' what, nspname as schema, relname::text as name, relowner as owner,
            coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner)) as acl
            from relation where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
          union all select 'column', r.nspname, r.relname || '.' || a.attname, r.relowner, a.attacl
            from relation r join pg_attribute a on a.attrelid = r.id where a.attacl is not null
          union all select 'routine', nspname, format('%s(%s)', proname, pg_get_function_identity_arguments(id)),
            proowner, coalesce(proacl, acldefault('f', proowner)) from routine
          union all select 'type', nspname, typname::text, typowner, coalesce(typacl, acldefault('T', typowner))
            from kind where typtype in ('d', 'e', 'r')
          union all select 'schema', nspname, nspname::text, nspowner, coalesce(nspacl, acldefault('n', nspowner))
            from space
        ) o, aclexplode(o.acl) x where x.grantee <> o.owner""",
    "versions": "select extname, extversion from pg_extension",
}
_STEADY: LiteralString = """
set local search_path = ''; set local row_security = off; set local timezone = 'UTC'; set local datestyle = 'ISO';
set local intervalstyle = 'postgres'; set local bytea_output = 'hex'; set local extra_float_digits = 1;
"""
_HOLDERS: LiteralString = """
select a.pid, coalesce(nullif(a.application_name, ''), a.backend_type, 'unnamed'), coalesce(a.state, 'state hidden'),
  coalesce(round(extract(epoch from max(clock_timestamp() - a.xact_start)), 1) || ' s old', 'age hidden'),
  string_agg(distinct l.relation::regclass::text, ', ')
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.granted and l.relation = any(%(tables)s) and l.pid <> pg_backend_pid()
  and l.database = (select oid from pg_database where datname = current_database())
  and not l.mode = any(%(beside)s)
  and (%(age)s = 0 or a.xact_start < clock_timestamp() - make_interval(secs => %(age)s))
group by 1, 2, 3 order by min(a.xact_start)
"""
_TARGETS: LiteralString = """
select coalesce(i.indrelid, c.oid) from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_index i on i.indexrelid = c.oid
where c.relkind in ('r', 'p', 'm', 'v', 'i', 'I') and c.relname = any(%s)
  and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'interlock_capture')
"""
# varchar IN ('a', 'b') is written one way when created and another after a restore; both mean the same.
_VARCHAR_LIST = re.compile(r"\(ARRAY\[((?:'(?:[^']|'')*'::character varying(?:, )?)+)\]\)::text\[\]")


@contextmanager
def snapshot(link: Link) -> Iterator[None]:
    """Read one unchanging state, with settings under which the same content always prints the same."""
    with link.transaction():
        link.execute("set transaction isolation level repeatable read, read only")
        link.execute(_STEADY)
        yield


@contextmanager
def steady(link: Link) -> Iterator[None]:
    """Read with the settings of a snapshot, also inside a transaction: what it has done so far is seen."""
    with link.transaction(force_rollback=True):
        link.execute(_STEADY)
        yield


def server(link: Link) -> str:
    """Name the server's version: `18.6`."""
    return "{}.{}".format(*divmod(link.info.server_version, 10_000))


def within(link: Link) -> str:
    """Hash the schema as the transaction under way would leave it."""
    with steady(link):
        return fingerprint(link)


def fingerprint(link: Link) -> str:
    """Hash the schema inside a snapshot: 48 hex digits for what a dump carries, 16 for grants and versions."""
    return _hash(link, _STRUCTURE)[:STRUCTURE] + _hash(link, _AROUND)[: 64 - STRUCTURE]


def targets(link: Link, words: Iterable[str]) -> list[int]:
    """Find the tables and views that a script may lock: those it names, and those whose indexes it names."""
    return [oid for (oid,) in link.execute(_TARGETS, (sorted(words),))]


def holders(link: Link, tables: list[int], older_than: float, beside: Sequence[str] = ()) -> list[str]:
    """Describe other sessions that hold locks on these tables in transactions older than so many seconds.

    `beside`: modes, as pg_locks names them, that are in nobody's way. Without pg_read_all_stats the age of other roles'
    transactions is hidden: they are listed only at 0 seconds.
    """
    rows = link.execute(_HOLDERS, {"tables": tables, "age": older_than, "beside": list(beside)})
    return [f"pid {pid} ({name}, {state}, {age}) holds {held}" for pid, name, state, age, held in rows]


def invalid_indexes(link: Link, tables: list[int]) -> set[str]:
    """Name the indexes on these tables that an interrupted CREATE INDEX CONCURRENTLY left behind, quoted."""
    rows = link.execute(
        "select format('%%I.%%I', n.nspname, c.relname) from pg_index i join pg_class c on c.oid = i.indexrelid"
        " join pg_namespace n on n.oid = c.relnamespace"
        " where i.indrelid = any(%s) and not i.indisvalid and c.relkind = 'i'",
        (tables,),
    )
    return {name for (name,) in rows}


def _hash(link: Link, queries: dict[str, LiteralString]) -> str:
    found = {
        name: sorted(json.dumps([_settled(cell) for cell in row], default=str) for row in link.execute(SCOPE + query))
        for name, query in queries.items()
    }
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _settled(cell: Any) -> Any:
    """Write a definition as it will read after a restore."""
    if not isinstance(cell, str):
        return cell
    return _VARCHAR_LIST.sub(
        lambda found: "ARRAY[" + re.sub(r"('(?:[^']|'')*'::character varying)", r"(\1)::text", found[1]) + "]", cell
    )
