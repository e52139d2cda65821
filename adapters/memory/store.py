"""A store, in memory."""

import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO

from adapters.folder import checked
from domain.environment.orphans import Belonging
from domain.errors import Conflict, Invalid


class MemoryStore:
    """Objects live as long as this value; `unfinished` are writes that broke off half-way.

    `written` says when each was written, in seconds since the epoch, by `now`.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self.unfinished: list[Belonging] = []
        self.written: dict[str, float] = {}
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, key: str, chunks: Iterable[bytes]) -> str:
        """Write an object; return its sha256. Raises Conflict when the key exists with other content."""
        checked(key)
        content = b"".join(chunks)
        with self._lock:
            if self._objects.setdefault(key, content) != content:
                raise Conflict(f"{key} exists with other content", "objects are written once: choose another key")
            self.written.setdefault(key, self.now())
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

    def ages(self, prefix: str) -> Mapping[str, float]:
        """Tell how long ago each object with a prefix was written, in seconds."""
        return {key: self.now() - self.written[key] for key in self.keys(prefix)}

    def remove(self, key: str) -> None:
        """Remove an object; one that is gone is fine."""
        with self._lock:
            self._objects.pop(checked(key), None)
            self.written.pop(key, None)

    def belongings(self) -> tuple[Belonging, ...]:
        """List unfinished writes."""
        return tuple(self.unfinished)

    def discard(self, belonging: Belonging, _token: int) -> bool:
        """Forget an unfinished write; False while it is in use."""
        if any(it.id == belonging.id and it.in_use for it in self.unfinished):
            return False
        self.unfinished = [it for it in self.unfinished if it.id != belonging.id]
        return True
