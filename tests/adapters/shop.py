"""A database as the shop and as Interlock see it, and migrations for it."""

import io
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from adapters.memory.secrets import MemorySecrets
from adapters.postgres import Postgres
from deployments.embedded import postgres
from domain.ports import Clone, Database
from domain.schema.migration import Migration

DSN = "secret://env/SHOP_DSN"


class Shop:
    """A database of its own, as the application and as Interlock see it."""

    def __init__(self, server: str, role: str = "shop", password: str = "p@ss:w/rd shop") -> None:
        self.name = f"shop_{secrets.token_hex(4)}"
        self.superuser = server
        postgres.database(server, self.name, role)
        port = psycopg.conninfo.conninfo_to_dict(server)["port"]
        self.dsn = postgres.dsn(int(port or 0), role, password, self.name)
        self.database = Postgres(DSN, MemorySecrets({DSN: self.dsn}))

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        with self.session() as link:
            cursor = link.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def session(self, name: str = "shop-app", **settings: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        with psycopg.connect(self.dsn, autocommit=True, application_name=name) as link:
            for setting, value in settings.items():
                link.execute("select set_config(%s, %s, false)", (setting, value))
            yield link

    def scratch_databases(self) -> list[str]:
        return [name for (name,) in self.execute("select datname from pg_database where datname like 'interlock_%'")]


def step(number: int, up: str, **more: Any) -> Migration:
    return Migration(number=number, name=f"step_{number}", up=up, **more)


ORDERS = step(
    1, "create table orders (id integer primary key, note text not null);\ncreate index on_note on orders (note)"
)


def migrate(database: Database, migration: Migration, **more: Any) -> Any:
    return database.migrate(
        migration, **({"release": "r1", "token": 3, "lock_timeout": 0.05, "lock_budget": 2.0} | more)
    )


@contextmanager
def copied(database: Database) -> Iterator[Clone]:
    """Restore a dump of it beside it, to try things on."""
    into = io.BytesIO()
    backup = database.backup(into)
    into.seek(0)
    with database.clone(into, backup) as clone:
        yield clone


def wait_until(true: Any) -> None:
    give_up = time.monotonic() + 60
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.02)
