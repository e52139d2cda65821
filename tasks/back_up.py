"""Take a backup that is one: stored, read back, restored and compared."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from domain.ports import Database, Store
from domain.release.outcomes import BackedUp
from domain.release.plan import Stage
from domain.schema.backup import Backup, StoredBackup
from tasks.step import Warrant, step

_CHUNK = 1 << 20  # bytes


@step(BackedUp, timeout=3600)
def back_up(warrant: Warrant, stage: Stage, database: Database | None, store: Store) -> BackedUp:
    """Back up before the schema changes; nothing to do where it does not.

    Raises Rejected when the restored copy differs, Unavailable when the store is full.
    """
    if database is None or not stage.schema_steps:
        return BackedUp(stored=None)
    attempt = len(warrant.journal.entries(release=warrant.release))
    key = f"backups/{warrant.service}/{stage.environment}/{warrant.release}-{attempt}.dump.zst"
    dump = Dump(database)
    checksum = store.put(key, dump.chunks())
    backup = dump.backup()
    with store.open(key) as stored:
        database.verify(stored, backup)
    return BackedUp(stored=StoredBackup(key=key, sha256=checksum, backup=backup))


class Dump:
    """Lets a database write on one end of a pipe while a store reads on the other: nothing is kept in between."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._outcome: Future[Backup] = Future()

    def chunks(self) -> Iterator[bytes]:
        """Hand out the dump; ends with the error of the database, so that a store never keeps half a dump."""
        reading, writing = os.pipe()
        with ThreadPoolExecutor(1) as pool:
            self._outcome = pool.submit(self._write, writing)
            with os.fdopen(reading, "rb") as source:  # closing it early breaks the pipe: the dump ends too
                while chunk := source.read(_CHUNK):
                    yield chunk
        self._outcome.result()

    def backup(self) -> Backup:
        """Describe what was dumped, once all chunks are read; raises what the database raised."""
        return self._outcome.result()

    def _write(self, end: int) -> Backup:
        with os.fdopen(end, "wb") as sink:
            return self._database.backup(sink)
