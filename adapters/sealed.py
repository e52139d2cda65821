"""A store whose backups nobody can read without a key: sealed with age (https://age-encryption.org) on their way in.

Objects below `WITHIN` are sealed for every recipient and opened with one identity, which is looked up when it is needed
and not before. What was stored unsealed can still be read. Names and sizes of objects stay visible.
"""

import hashlib
import io
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO

import pyrage

from adapters.folder import digest
from domain.environment.orphans import Belonging
from domain.errors import Conflict, Invalid, Rejected
from domain.ports import Secrets, Store

WITHIN = ("backups/",)
_MAGIC = b"age-encryption.org/"
_CHUNK = 1 << 20  # bytes


class Sealed:
    """Wraps another store. `recipients` are public keys (`age1…`), `identity` the reference to a private one."""

    def __init__(
        self,
        inner: Store,
        recipients: Sequence[str],
        identity: str,
        secrets: Secrets,
        within: Sequence[str] = WITHIN,
    ) -> None:
        self._inner, self._identity, self._secrets, self._within = inner, identity, secrets, tuple(within)
        self._recipients = [_recipient(text) for text in recipients]

    def put(self, key: str, chunks: Iterable[bytes]) -> str:
        """Write an object; return the sha256 of what was given, not of what is stored.

        The same content again is fine, although it would be sealed differently. Raises Conflict when the key exists
        with other content, and whatever `chunks` raises.
        """
        if not key.startswith(self._within):
            return self._inner.put(key, chunks)
        if self._exists(key):
            return self._same(key, digest(chunks))
        sha256 = hashlib.sha256()
        given = _Chunks(chunks, sha256.update)
        told = io.BufferedReader(given, _CHUNK)
        sealed = _piped(lambda sink: pyrage.encrypt_io(told, sink, self._recipients))
        try:
            self._inner.put(key, sealed)
        except Conflict:  # another writer was first: perhaps with the same content
            sealed.close()
            while told.read(_CHUNK):
                pass
            return self._same(key, sha256.hexdigest())
        except pyrage.EncryptError as error:
            raise given.error or error from error
        finally:
            sealed.close()
        return sha256.hexdigest()

    @contextmanager
    def open(self, key: str) -> Iterator[IO[bytes]]:
        """Read an object. Raises Invalid when there is none, and while reading Rejected when it cannot be opened."""
        with self._inner.open(key) as stored:
            head = stored.read(len(_MAGIC))
            whole = io.BufferedReader(_Chunks(_after(head, stored)), _CHUNK)
            if head != _MAGIC:
                yield whole
                return
            identity = self._identity_now()
            opened = _piped(lambda sink: _unseal(whole, sink, identity, key))
            try:
                yield io.BufferedReader(_Chunks(opened), _CHUNK)
            finally:
                opened.close()

    def keys(self, prefix: str) -> Iterator[str]:
        """List keys with a prefix, in order."""
        return self._inner.keys(prefix)

    def ages(self, prefix: str) -> Mapping[str, float]:
        """Tell how long ago each object with a prefix was written, in seconds."""
        return self._inner.ages(prefix)

    def remove(self, key: str) -> None:
        """Remove an object; no key is needed for it."""
        self._inner.remove(key)

    def belongings(self) -> tuple[Belonging, ...]:
        """List unfinished writes."""
        return self._inner.belongings()

    def discard(self, belonging: Belonging, token: int) -> bool:
        """Remove an unfinished write; False while its writer lives."""
        return self._inner.discard(belonging, token)

    def _exists(self, key: str) -> bool:
        try:
            with self._inner.open(key):
                return True
        except Invalid:
            return False

    def _same(self, key: str, sha256: str) -> str:
        with self.open(key) as there:
            if digest(iter(lambda: there.read(_CHUNK), b"")) != sha256:
                raise Conflict(f"{key} exists with other content", "objects are written once: choose another key")
        return sha256

    def _identity_now(self) -> pyrage.x25519.Identity:
        try:
            return pyrage.x25519.Identity.from_str(self._secrets.resolve(self._identity).strip())
        except pyrage.IdentityError:
            raise Invalid(
                f"{self._identity} is no age identity", "it begins with AGE-SECRET-KEY-1: `age-keygen`"
            ) from None


class _Chunks(io.RawIOBase):
    """Reads an iterable of chunks as a file; `tell` is told every piece."""

    def __init__(self, chunks: Iterable[bytes], tell: Callable[[bytes], object] = lambda _: None) -> None:
        self._chunks, self._tell, self._rest = iter(chunks), tell, b""
        self.error: Exception | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed names an internal type
        """Fill a buffer; 0 at the end."""
        while not self._rest:
            try:
                chunk = next(self._chunks, None)
            except Exception as error:  # age tells of it in words alone
                self.error = error
                raise
            if chunk is None:
                return 0
            self._tell(chunk)
            self._rest = chunk
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _piped(write: Callable[[io.BufferedIOBase], object]) -> Generator[bytes]:
    """Let something write in a thread, and hand out what it writes; ends with its error."""
    reading, writing = os.pipe()

    def run() -> None:
        with os.fdopen(writing, "wb") as sink:
            write(sink)

    with ThreadPoolExecutor(1) as pool:
        done: Future[None] = pool.submit(run)
        with os.fdopen(reading, "rb") as source:  # closing it early breaks the pipe: the writer ends too
            while chunk := source.read(_CHUNK):
                yield chunk
        done.result()


def _unseal(stored: io.BufferedIOBase, sink: io.BufferedIOBase, identity: pyrage.x25519.Identity, key: str) -> None:
    try:
        pyrage.decrypt_io(stored, sink, [identity])
    except BrokenPipeError:
        return  # nobody reads any more
    except (pyrage.DecryptError, OSError) as error:
        hint = "it was sealed for another key, or is damaged or cut off: take a new backup"
        raise Rejected(f"{key} cannot be opened: {error}", hint) from error


def _after(head: bytes, rest: IO[bytes]) -> Iterator[bytes]:
    yield head
    while chunk := rest.read(_CHUNK):
        yield chunk


def _recipient(text: str) -> pyrage.x25519.Recipient:
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise Invalid(f"{text[:12]}… is no age recipient", "it begins with age1: `age-keygen -y KEYFILE`") from None
