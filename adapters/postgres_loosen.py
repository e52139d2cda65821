"""What lets an ordinary owner put rows into a restored database in any order, and what puts everything back.

Only a superuser may switch foreign keys off. An owner may have them checked at the end of the transaction instead, and
that is better: each pass leaves rows that refer to each other as they must. A foreign key whose rows go along with
others (CASCADE, SET NULL, RESTRICT) acts at once, and would take rows that nobody deleted: until the end it stands as
one without an action. The application's triggers have run in the living database already, and are switched off.
"""

from typing import LiteralString

from adapters.postgres_catalog import SCOPE, Link, steady

# `alone`: its action is none, so that its time is all that changes. A constraint that is not enforced has no triggers.
_FOREIGN: LiteralString = """
select format('%I.%I', r.nspname, r.relname), quote_ident(k.conname), k.confdeltype = 'a', k.convalidated,
  case when k.condeferred then 'deferrable initially deferred'
    when k.condeferrable then 'deferrable initially immediate' else 'not deferrable' end,
  regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', ''),
  format('foreign key (%s) references %I.%I (%s)%s', array_to_string(array(
      select quote_ident(a.attname) from unnest(k.conkey) with ordinality o(c, n)
      join pg_attribute a on a.attrelid = k.conrelid and a.attnum = o.c order by o.n), ', '),
    s.nspname, t.relname, array_to_string(array(
      select quote_ident(a.attname) from unnest(k.confkey) with ordinality o(c, n)
      join pg_attribute a on a.attrelid = k.confrelid and a.attnum = o.c order by o.n), ', '),
    case k.confmatchtype when 'f' then ' match full' else '' end),
  r.relkind = 'p' and current_setting('server_version_num')::int < 180000
from pg_constraint k join relation r on r.id = k.conrelid
join pg_class t on t.oid = k.confrelid join pg_namespace s on s.oid = t.relnamespace
where k.contype = 'f' and k.conparentid = 0 and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
order by 1, 2
"""
# Whatever is said of a partitioned table's trigger is said of its partitions' as well, so that theirs come last.
_TRIGGERS: LiteralString = """
select format('%I.%I', r.nspname, r.relname), quote_ident(g.tgname), case g.tgenabled when 'A' then 'enable always'
  when 'R' then 'enable replica' when 'O' then 'enable' else 'disable' end
from pg_trigger g join relation r on r.id = g.tgrelid
where not g.tgisinternal order by g.tgparentid <> 0, 1, 2
"""
Statements = tuple[str, ...]


def plan(link: Link) -> tuple[Statements, Statements, Statements]:
    """Write the statements that loosen a database, that mend it again, and that validate it then; each may be repeated.

    Mending costs no time by the row, so that it fits into a freeze: validating does, and may come after it. Before
    PostgreSQL 18 a foreign key of a partitioned table is validated as it is mended.
    """
    loosened, mended, validated = list[str](), list[str](), list[str]()
    with steady(link):
        for table, key, alone, valid, when, as_it_is, bare, at_once in link.execute(SCOPE + _FOREIGN).fetchall():
            if alone:
                alter = f"alter table {table} alter constraint {key}"
                loosened.append(f"{alter} deferrable initially deferred")
                mended.append(f"{alter} {when}")
                continue
            later = "" if at_once else " not valid"
            put = f"alter table {table} drop constraint if exists {key}, add constraint {key}"
            loosened.append(f"{put} {bare} deferrable initially deferred{later}")
            mended.append(f"{put} {as_it_is}{later}")
            validated += [f"alter table {table} validate constraint {key}"] if valid else []
        for table, trigger, enable in link.execute(SCOPE + _TRIGGERS).fetchall():
            loosened.append(f"alter table {table} disable trigger {trigger}")
            mended.append(f"alter table {table} {enable} trigger {trigger}")
    return tuple(loosened), tuple(mended), tuple(validated)
