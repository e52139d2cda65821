"""Dump a database into a store, with nothing kept in between."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from domain.ports import Database
from domain.schema.backup import Backup

_CHUNK = 1 << 20  # bytes


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
