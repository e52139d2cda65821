"""Take a backup that is one: stored, read back, restored and compared."""

import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

from domain.errors import ReleaseError
from domain.ports import Database, Store
from domain.release.outcomes import BackedUp
from domain.release.plan import Stage
from domain.schema.backup import Backup, StoredBackup
from tasks.step import Warrant, step


@step(BackedUp, timeout=3600)
def back_up(warrant: Warrant, stage: Stage, database: Database | None, store: Store) -> BackedUp:
    """Back up before the schema changes; nothing to do where it does not.

    Raises Rejected when the restored copy differs, Unavailable when the store is full.
    """
    if database is None or not stage.schema_steps:
        return BackedUp(stored=None)
    attempt = len(warrant.journal.entries(release=warrant.release, kinds=("intended", "failed")))
    key = f"backups/{warrant.service}/{stage.environment}/{warrant.release}-{attempt}.dump.zst"
    pipe = Pipe(database)
    checksum = store.put(key, pipe.chunks())
    backup = pipe.backup()
    with store.open(key) as stored:
        database.verify(stored, backup)
    return BackedUp(stored=StoredBackup(key=key, sha256=checksum, backup=backup))


class Pipe:
    """Lets a database write a dump on one side while a store reads it in chunks on the other."""

    def __init__(self, database: Database) -> None:
        self._queue: Queue[bytes | None] = Queue(maxsize=16)
        self._closed = threading.Event()
        self._outcome: Backup | ReleaseError | None = None
        self._thread = threading.Thread(target=self._dump, args=(database,), daemon=True)

    def _dump(self, database: Database) -> None:
        try:
            self._outcome = database.backup(_Writer(self._queue, self._closed))  # type: ignore[arg-type]  # write() is all it needs
        except ReleaseError as error:
            self._outcome = error
        finally:
            self._queue.put(None)

    def chunks(self) -> Iterator[bytes]:
        """Hand out the dump; raises what the database raised, so that the store never keeps half a dump."""
        self._thread.start()
        try:
            while (chunk := self._queue.get()) is not None:
                yield chunk
        finally:
            self._closed.set()
            while self._thread.is_alive():
                if not self._queue.empty():
                    self._queue.get()
                self._thread.join(0.01)
        if isinstance(self._outcome, ReleaseError):
            raise self._outcome

    def backup(self) -> Backup:
        """Describe what was dumped, once all chunks are read."""
        if not isinstance(self._outcome, Backup):
            raise self._outcome or RuntimeError("the dump was not read to its end")
        return self._outcome


class _Writer:
    def __init__(self, queue: Queue[bytes | None], closed: threading.Event) -> None:
        self._queue, self._closed = queue, closed

    def write(self, data: Any) -> int:
        if self._closed.is_set():
            raise BrokenPipeError("the store stopped reading")
        self._queue.put(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: chunks leave as they come."""
