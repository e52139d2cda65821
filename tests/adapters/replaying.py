"""A shop with a capture and a backup, written to while it is restored."""

import io
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from adapters import postgres_capture as capture
from adapters.memory.secrets import MemorySecrets
from adapters.postgres import Postgres
from adapters.postgres_end import End
from adapters.postgres_errand import Manners
from adapters.postgres_restore import Terms, restore
from domain.schema.backup import Backup
from domain.schema.replay import Replayed
from tests.adapters.shop import DSN, Shop, migrate, step

QUICK = Manners(token=3, lock_budget=5.0)
SCHEMA = """
create type mood as enum ('good', 'bad');
create table customers (id bigint generated always as identity primary key, email text not null unique,
  mood mood, login text generated always as (lower(email)) stored);
create table "Orders" ("Id" serial primary key, customer bigint not null references customers, cents int,
  at timestamptz);
create table lines ("order" int references "Orders" on delete cascade, line int, sku text, primary key ("order", line));
create table events (id uuid default gen_random_uuid(), day int, body jsonb, seen int default 0,
  customer bigint references customers on delete set null, primary key (id, day)) partition by list (day);
create table events_1 partition of events for values in (1);
create table events_2 partition of events for values in (2);
create table tree (id int primary key, parent int references tree on delete set null deferrable initially deferred);
create function loud() returns trigger language plpgsql as $$ begin new.at := clock_timestamp(); return new; end $$;
create function seen() returns trigger language plpgsql as $$ begin new.seen := new.seen + 1; return new; end $$;
create trigger seen before insert or update on events for each row execute function seen();
alter table events_2 disable trigger seen;
create trigger loud before insert or update on "Orders" for each row execute function loud();
insert into customers (email, mood) select 'c' || i || '@x', 'good' from generate_series(1, 200) i;
insert into "Orders" (customer, cents) select 1 + i % 200, i from generate_series(1, 1000) i;
insert into lines select 1 + i % 1000, i / 1000, 'sku' || i from generate_series(0, 1999) i;
insert into events (day, body, customer) select 1 + i % 2, jsonb_build_object('i', i), 1 + i % 200
  from generate_series(1, 500) i;
insert into tree select i, nullif(i / 2, 0) from generate_series(1, 100) i;
"""
TABLES = ('"Orders"', "customers", "events", "lines", "tree")


class Restoring:
    """A shop with a capture, a backup, and the place where it is restored."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.living, self.name = shop, End(shop.dsn), f"{shop.name}_new"
        migrate(shop.database, step(1, SCHEMA))
        with shop.session("capture") as link:
            capture.arm(link, QUICK)
        self.backup: Backup
        self.dump = io.BytesIO()

    def back_up(self) -> None:
        self.dump = io.BytesIO()
        self.backup = self.shop.database.backup(self.dump)

    def restore(self, **more: Any) -> Replayed:
        self.dump.seek(0)
        terms = Terms(QUICK, more.pop("freeze", 10.0), keep_frozen=more.pop("keep_frozen", False))
        return restore(self.living, self.name, self.dump, self.backup, terms, **more)

    @property
    def copy(self) -> Shop:
        """See the restored database as the application and Interlock do."""
        copy = Shop.__new__(Shop)
        copy.dsn = psycopg.conninfo.make_conninfo(self.shop.dsn, dbname=self.name)
        copy.database = Postgres(DSN, MemorySecrets({DSN: copy.dsn}))
        return copy

    def rows(self, shop: Shop) -> dict[str, list[Any]]:
        return {table: shop.execute(f"select * from {table} order by 1, 2") for table in TABLES}

    def insist_same(self) -> None:
        there, here = self.rows(self.shop), self.rows(self.copy)
        assert {name: len(rows) for name, rows in there.items()} == {name: len(rows) for name, rows in here.items()}
        assert there == here


@contextmanager
def writing(shop: Shop, seed: int = 1) -> Iterator[list[int]]:
    """Write without a pause, every kind of change in small transactions; tells how many were committed."""
    done, stop, dice = [0], threading.Event(), random.Random(seed)

    def write() -> None:
        with shop.session("writer") as link:
            while not stop.is_set():
                with suppress(psycopg.IntegrityError, psycopg.errors.ReadOnlySqlTransaction):
                    with link.transaction():
                        for _ in range(3):
                            link.execute(random_change(dice).encode())
                    done[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


def random_change(dice: random.Random) -> str:
    n, day = dice.randrange(1, 1400), dice.randrange(1, 3)
    return dice.choice(
        (
            f"insert into customers (email, mood) values ('new' || {n} || '@' || random(), 'bad')",
            f'insert into "Orders" (customer, cents) select id, {n} from customers limit 1',
            f'update "Orders" set cents = cents + 1 where "Id" = {n}',
            f'delete from "Orders" where "Id" = {n}',
            f'update "Orders" set "Id" = "Id" + 100000 where "Id" = {n}',
            f'delete from customers where id = {n} and not exists (select from "Orders" where customer = {n})',
            f"update customers set email = 'swapped' || random() where id = {n}",
            f'insert into lines select "Id", 7, \'late\' from "Orders" where "Id" = {n} on conflict do nothing',
            f"insert into events (day, body) values ({day}, '{{}}')",
            f"update events set day = 3 - day where (body ->> 'i')::int = {n % 500}",
            f"delete from tree where id = {n % 100}",
            f"insert into tree values ({n % 100}, null) on conflict (id) do update set parent = null",
        )
    )
