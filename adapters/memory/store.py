"""A store, in memory."""

import hashlib
import io
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO

from adapters.folder import checked
from domain.environment.orphans import Belonging
from domain.errors import Conflict, Invalid


class MemoryStore:
    """Objects live as long as this value; `unfinished` are writes that broke off half-way."""

    def __init__(self) -> None:
        self.unfinished: list[Belonging] = []
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, key: str, chunks: Iterable[bytes]) -> str:
        """Write an object; return its sha256. Raises Conflict when the key exists with other content."""
        checked(key)
        content = b"".join(chunks)
        with self._lock:
            if self._objects.setdefault(key, content) != content:
                raise Conflict(f"{key} exists with other content", "objects are written once: choose another key")
        return hashlib.sha256(content).hexdigest()

    @contextmanager
    def open(self, key: str) -> Iterator[IO[bytes]]:
        """Read an object. Raises Invalid when there is none."""
        if checked(key) not in self._objects:
            raise Invalid(f"{key}: there is no such object", "list the keys, or check the key")
        with io.BytesIO(self._objects[key]) as stream:
            yield stream

    def keys(self, prefix: str) -> Iterator[str]:
        """List keys with a prefix, in order."""
        return iter(sorted(key for key in self._objects if key.startswith(prefix)))

    def belongings(self) -> tuple[Belonging, ...]:
        """List unfinished writes."""
        return tuple(self.unfinished)

    def discard(self, belonging: Belonging, _token: int) -> bool:
        """Forget an unfinished write; False while it is in use."""
        if any(it.id == belonging.id and it.in_use for it in self.unfinished):
            return False
        self.unfinished = [it for it in self.unfinished if it.id != belonging.id]
        return True
