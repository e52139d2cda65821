"""A database for every service and environment, and the two roles that may use it.

`…_migrator` owns the database and changes its schema; it may create databases, because a backup counts only once it
was restored into one. `…_app` reads and writes rows, in tables that it neither owns nor can alter. Neither can connect
to the database of another environment.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from deployments.embedded import postgres

_RIGHTS = (
    "grant connect, temporary on database {database} to {app}",
    "alter default privileges for role {migrator} grant select, insert, update, delete on tables to {app}",
    "alter default privileges for role {migrator} grant usage, select on sequences to {app}",
    "alter default privileges for role {migrator} grant usage on schemas to {app}",
)


OWN: Mapping[str, str] = {"prefect": "postgresql+asyncpg", "ledger": "postgresql+psycopg"}
"""What Interlock itself keeps, and the driver that reads it."""


def ensure_all(secrets: Path, *, port: int, host: str, names: Iterable[str]) -> None:
    """Make sure that Prefect, the ledger and every service-environment in `names` have a database; see `ensure`."""
    admin = postgres.dsn(port, postgres.SUPERUSER, password(secrets, postgres.SUPERUSER), "postgres")
    for name, driver in OWN.items():
        word = password(secrets, name)
        postgres.role(admin, name, word)
        postgres.database(admin, name, name)
        write(secrets / f"{name}-url", postgres.dsn(port, name, word, name).replace("postgresql", driver, 1))
    for name in names:
        ensure(admin, secrets, port=port, name=name, host=host)


def ensure(admin: str, secrets: Path, *, port: int, name: str, host: str) -> None:
    """Make sure that `name` (service-environment) has its database, its roles and the three URLs among the secrets.

    `NAME-migrator-url` is for this machine, `NAME-app-url` for containers, which reach it at `host`, and
    `NAME-tool-url` for a migration tool in one. Passwords are random and made once. `admin` is the superuser's URL.
    """
    database = name.replace("-", "_")
    migrator, app = f"{database}_migrator", f"{database}_app"
    words = {"migrator": password(secrets, f"{name}-migrator"), "app": password(secrets, f"{name}-app")}
    postgres.role(admin, migrator, words["migrator"], creates_databases=True)
    postgres.role(admin, app, words["app"])
    postgres.database(admin, database, migrator)
    with psycopg.connect(admin, dbname=database, autocommit=True) as link:
        for right in _RIGHTS:
            link.execute(
                sql.SQL(right).format(
                    database=sql.Identifier(database), migrator=sql.Identifier(migrator), app=sql.Identifier(app)
                )
            )
    write(secrets / f"{name}-migrator-url", postgres.dsn(port, migrator, words["migrator"], database))
    write(secrets / f"{name}-tool-url", postgres.dsn(port, migrator, words["migrator"], database, host))
    write(secrets / f"{name}-app-url", postgres.dsn(port, app, words["app"], database, host))


def password(secrets: Path, name: str) -> str:
    """Read or make the password of a role; the folder is made for its owner alone."""
    secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
    return postgres.password_in(secrets / f"{name}-password")


def write(file: Path, secret: str) -> None:
    """Replace a secret file in one step, readable by its owner alone."""
    new = file.with_name(f".{file.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(secret)
    new.replace(file)
