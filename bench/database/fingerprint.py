"""How quick is the schema's fingerprint, and is it always the same?"""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from psycopg import sql

from adapters import postgres_catalog as catalog
from adapters.postgres_backup import environment
from bench.database.cost import watch
from bench.database.ground import SHOP, Ground, Link, Shop
from bench.database.latency import percentile
from deployments.embedded import postgres
from domain.errors import Rejected

Say = Callable[[str], None]

TABLES = 50
WITHIN = 100.0  # ms, the goal
_COPY = "bench_copy"
_ODD = "set search_path = pg_catalog; set datestyle = 'SQL, DMY'; set timezone = 'Asia/Kolkata'"


def measure(ground: Ground, shop: Shop, runs: int, minutes: float, say: Say) -> str:
    """Take it so many times, undisturbed and then after everything that may not change it; give the table."""
    widen(shop)
    until, found, took = time.monotonic() + minutes * 60, list[str](), list[float]()
    say(f"{runs} runs")
    with watch(ground.postmaster) as cost:
        while len(took) < runs and time.monotonic() < until:
            began = time.perf_counter()
            found.append(shop.database.fingerprint())
            took.append((time.perf_counter() - began) * 1000)
    inside = _inside(shop, len(took))
    say("held against other connections, VACUUM, ANALYZE, rows, dump and restore")
    same = {"all runs": len(set(found)) == 1, **dict(_still(ground, shop, found[0]))}
    return markdown(took, inside, cost().cpu / len(took) * 1000, runs, same)


def markdown(took: list[float], inside: list[float], cpu: float, wanted: int, same: dict[str, bool]) -> str:
    """Draw the tables; times in milliseconds."""
    quick = percentile(took, 0.5) <= WITHIN
    lines = [
        f"Schema: {TABLES} tables with keys, checks, indexes, views, triggers and functions. "
        f"Runs: {len(took)} of {wanted}, {cpu:.1f} ms of CPU each (server and client, mean).",
        *("", "| fingerprint | median ms | p99 ms | max ms |", "|---|---:|---:|---:|"),
        _times("**as the port gives it**, a connection each", took),
        _times("on an open connection", inside),
        *("", "| the same | |", "|---|---|"),
        *(f"| {name} | {'yes' if held else '**no**'} |" for name, held in same.items()),
        *("", f"Goal, median ≤ {WITHIN:g} ms: {'kept' if quick else 'missed'}. "),
    ]
    return "\n".join(lines) + f"Goal, always the same: {'kept' if all(same.values()) else 'missed'}."


def _times(name: str, took: list[float]) -> str:
    return f"| {name} | {percentile(took, 0.5):.1f} | {percentile(took, 0.99):.1f} | {max(took, default=0):.1f} |"


def widen(shop: Shop) -> None:
    """Add tables like those of a service that has grown, until there are fifty, and something of every other kind."""
    with shop.session() as link:
        [[known]] = link.execute("select count(*) from pg_tables where schemaname = 'public'").fetchall()
        link.execute("create type mood as enum ('sad', 'ok', 'happy'); create domain money_cents as bigint")
        for number in range(TABLES - known):
            words = {name: sql.Identifier(f"{name}_{number}") for name in ("part", "seen", "by_name", "once", "touch")}
            link.execute(
                sql.SQL(
                    """create table {part} (id bigint generated always as identity primary key,
                      customer bigint references customers on delete cascade, name varchar(40) not null default 'new',
                      mood mood, price money_cents check (price >= 0), tags text[] not null default '{{}}',
                      body jsonb, changed timestamptz not null default now());
                    create index {by_name} on {part} (lower(name)) where price > 0;
                    create unique index {once} on {part} (customer, name);
                    create view {seen} as select id, name, mood from {part} where price > 0;
                    create function {touch}() returns trigger language plpgsql as
                      $$ begin new.changed := now(); return new; end $$;
                    create trigger touch before update on {part} for each row execute function {touch}();
                    grant select on {part} to public"""
                ).format(**words)
            )


def _inside(shop: Shop, runs: int) -> list[float]:
    took = []
    with shop.session() as link:
        for _ in range(runs):
            began = time.perf_counter()
            with catalog.snapshot(link):
                catalog.fingerprint(link)
            took.append((time.perf_counter() - began) * 1000)
    return took


def _still(ground: Ground, shop: Shop, first: str) -> Iterator[tuple[str, bool]]:
    """Do what may not change it, one after the other."""
    with ExitStack() as both:
        one, other = both.enter_context(shop.session()), both.enter_context(shop.session())
        admin = psycopg.conninfo.make_conninfo(ground.admin, dbname=shop.name)
        superuser = both.enter_context(psycopg.connect(admin, autocommit=True))
        other.execute(_ODD)
        yield "two connections at once, one with other settings", [_taken(one), _taken(other)] == [first] * 2
        yield "as the superuser", _taken(superuser) == first
        for statement in ("vacuum", "vacuum full customers", "analyze", "reindex table orders"):
            one.execute(statement.encode())
            yield f"after {statement.upper()}", _taken(other) == shop.database.fingerprint() == first
        one.execute("insert into part_0 (name, price) values ('one', 1); delete from part_0")
        yield "after rows came and went", shop.database.fingerprint() == first
    with _copy(ground, shop) as copy:
        yield "after a dump and a restore, grants included", _taken(copy) == first


def _taken(link: Link) -> str:
    with catalog.snapshot(link):
        return catalog.fingerprint(link)


@contextmanager
def _copy(ground: Ground, shop: Shop) -> Iterator[Link]:
    """Dump and restore the schema with PostgreSQL's own programs."""
    file, folder = ground.folder / "schema.dump", postgres.binaries()
    postgres.database(ground.admin, _COPY, SHOP)
    for command, name in (
        (["pg_dump", "--format=custom", "--schema-only", f"--file={file}"], shop.name),
        (["pg_restore", "--exit-on-error", "--dbname=", str(file)], _COPY),
    ):
        program, env = str(folder / command[0]), environment(shop.dsn, PGDATABASE=name)
        done = subprocess.run([program, *command[1:]], env=env, check=False, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise Rejected(f"{command[0]} failed: {done.stderr.strip()[-500:]}", "run it by hand")
    with psycopg.connect(ground.dsn(_COPY), autocommit=True) as link:
        yield link
