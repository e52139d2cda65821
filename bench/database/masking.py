"""How many rows a second become a masked copy: `python -m bench.database.masking`.

A shop of its own on a PostgreSQL of its own: customers (seven columns, five masked), orders and items. The rows are
counted from the source's snapshot to the last row in the copy, and over the whole refresh with indexes, foreign keys,
search and swap. CPU seconds are those of the server's processes and of this one.
"""

import argparse
import os
import platform
import resource
import socket
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from adapters import postgres_copy as copies
from adapters.postgres_end import End
from deployments.embedded import postgres
from domain.data.policy import Policy

KEY = "a key of the benchmark's own, and of no other use"
SCHEMA = """
create table customers (id bigint primary key, email varchar(80) not null unique, name varchar(60) not null,
  phone text, card text, born date, joined timestamptz not null);
create table orders (id bigint primary key, customer_id bigint not null references customers, state text not null,
  total integer not null, note text, placed_at timestamptz not null);
create table items (order_id bigint references orders, line integer, sku text not null, quantity integer not null,
  cents integer not null, primary key (order_id, line));
create index on orders (customer_id);
"""
FILL = (
    "insert into customers select n, 'person' || n || '@mail.real', 'Real Person ' || n, '+4930' || 5550000 + n,"
    " (4111111111110000 + n)::text, date '1980-01-01' + n %% 9000, now() - n * interval '1 s'"
    " from generate_series(1, %(rows)s / 10) n",
    "insert into orders select n, 1 + n %% (%(rows)s / 10), 'paid', n %% 9999, 'as usual', now()"
    " from generate_series(1, %(rows)s * 3 / 10) n",
    "insert into items select 1 + n %% (%(rows)s * 3 / 10), n, 'sku-' || n %% 500, 1 + n %% 9, n %% 9999"
    " from generate_series(1, %(rows)s * 6 / 10) n",
)
ORDERS = dict.fromkeys(("id", "customer_id", "state", "total", "note", "placed_at"), "keep")
ITEMS = dict.fromkeys(("order_id", "line", "sku", "quantity", "cents"), "keep")
CUSTOMERS = {"id": "keep", "email": "email", "name": "name", "phone": "phone", "card": "card", "joined": "keep"}
TABLES: dict[str, dict[str, Any]] = {
    "customers": {"columns": CUSTOMERS | {"born": {"kind": "shift", "by": "id"}}},
    "orders": {"columns": ORDERS},
    "items": {"columns": ITEMS},
}
SUBSET = {
    "customers": TABLES["customers"] | {"where": "id % 20 = 0"},
    "orders": TABLES["orders"] | {"follow": ["customers"]},
    "items": TABLES["items"] | {"follow": ["orders"]},
}


def main() -> int:
    """Measure once and print, with the conditions."""
    parser = argparse.ArgumentParser(prog="python -m bench.database.masking", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of all three tables together")
    parser.add_argument("--subset", action="store_true", help="one customer in twenty, and what follows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as name, socket.socket() as free:
        folder = Path(name)
        folder.chmod(0o711)  # the cluster runs as another user
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        word = folder / "password"
        admin = postgres.dsn(port, postgres.SUPERUSER, postgres.password_in(word), "postgres")
        child = postgres.start(folder / "cluster", port=port, password=word, settings=["max_wal_size=4GB"])
        try:
            _measure(admin, options.rows, SUBSET if options.subset else TABLES, folder / "cluster" / "data")
        finally:
            postgres.stop(child)
    return 0


def _measure(admin: str, rows: int, tables: object, data: Path) -> None:
    source, target = End(admin).beside("shop"), End(admin).beside("shop_copy")
    with psycopg.connect(admin, autocommit=True) as link:
        link.execute("create database shop")
    with source.link() as link:
        link.execute(SCHEMA)
        for filling in FILL:
            link.execute(filling, {"rows": rows})
        link.execute("analyze")
    policy = Policy.model_validate({"key": "secret://env/UNUSED", "tables": tables})
    marks: list[tuple[str, float, float]] = []
    leader = int((data / "postmaster.pid").read_text().split()[0])

    def mark(stage: str) -> None:
        marks.append((stage, time.monotonic(), _cpu(leader)))

    mark("begin")
    stamp = copies.refresh(source, target, policy, KEY, mark)
    mark("end")
    _print(marks, sum(stamp.tables.values()), stamp.searched)


def _print(marks: list[tuple[str, float, float]], copied: int, searched: int) -> None:
    show = Console(highlight=False, width=110).print
    at = {stage: (wall, cpu) for stage, wall, cpu in marks}
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    show(f"{copied:,} rows, {os.cpu_count()} cores, load {load}, nice {os.nice(0)}, Python {platform.python_version()}")
    spans = (
        ("choosing", "subset", "rows"),
        ("rows", "rows", "indexes"),
        ("choosing and rows", "subset", "indexes"),
        ("all", "begin", "end"),
    )
    for what, begin, end in spans:
        wall, cpu = at[end][0] - at[begin][0], at[end][1] - at[begin][1]
        show(f"{what}: {wall:.2f} s, {cpu:.2f} CPU s: {copied / wall:,.0f} rows/s, {copied / cpu:,.0f} rows per CPU s")
    for (stage, wall, cpu), (_, later, more) in pairwise(marks):
        show(f"  {stage}: {later - wall:.2f} s, {more - cpu:.2f} CPU s")
    show(f"searched for {searched} private values")


def _cpu(leader: int) -> float:
    """Add up the CPU seconds of this process, of what it ran, and of the whole server, ended processes included."""
    own = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended just now
        number = int(stat.parent.name)
        if number == leader:
            ticks += sum(map(int, fields[11:15]))  # with its children that have ended
        elif int(fields[1]) == leader:
            ticks += sum(map(int, fields[11:13]))
    return own + ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
