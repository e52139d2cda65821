"""Evidence and backups in a folder of this machine."""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from domain.environment.orphans import Belonging
from domain.errors import Conflict, Invalid, ReleaseError, Unavailable

_INCOMING = ".incoming"  # on the same file system, and never a key: no part of a key may start with a dot
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG}
_ABANDONED = 86_400.0  # seconds after which an unfinished write has lost its writer


class Folder:
    """Keys are paths below `root`; objects are readable by this user only."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, chunks: Iterable[bytes]) -> str:
        """Write an object; return its sha256.

        It appears whole, on disk, or not at all. Raises Conflict when the key exists with other content, and
        Unavailable naming the folder and its free bytes when the disk is full.
        """
        path = self._root / checked(key)
        if path.is_file():
            return _same(path, digest(chunks))
        try:
            part, sha256 = self._receive(chunks)
            try:
                return _place(part, path, sha256)
            finally:
                part.unlink(missing_ok=True)
        except (NotADirectoryError, IsADirectoryError):
            raise Conflict(f"{path}: another object is in the way", "choose another key") from None
        except OSError as error:
            raise self._explained(error, path) from error

    @contextmanager
    def open(self, key: str) -> Iterator[IO[bytes]]:
        """Read an object. Raises Invalid when there is none."""
        path = self._root / checked(key)
        try:
            stream = path.open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise Invalid(f"{path}: there is no such object", "list the keys, or check the key") from None
        except OSError as error:
            raise self._explained(error, path) from error
        with stream:
            yield stream

    def keys(self, prefix: str) -> Iterator[str]:
        """List keys with a prefix, in order."""
        near = self._root / checked(prefix.rpartition("/")[0]) if "/" in prefix else self._root
        found = (path.relative_to(self._root).as_posix() for path in near.rglob("*") if path.is_file())
        return iter(sorted(key for key in found if key.startswith(prefix) and not key.startswith(".")))

    def ages(self, prefix: str) -> Mapping[str, float]:
        """Tell how long ago each object with a prefix was written, in seconds, by this machine's clock."""
        ages = {}
        for key in self.keys(prefix):
            with suppress(FileNotFoundError):  # somebody removed it meanwhile
                ages[key] = time.time() - (self._root / key).stat().st_mtime
        return ages

    def remove(self, key: str) -> None:
        """Remove an object; its folder stays, since somebody may be about to write into it."""
        path = self._root / checked(key)
        if not path.is_file():
            return
        try:
            path.unlink(missing_ok=True)
            _flush(path.parent)  # after a power cut it is still gone, whatever was removed after it
        except OSError as error:
            raise self._explained(error, path) from error

    def belongings(self) -> tuple[Belonging, ...]:
        """List unfinished writes; one is in use while its writer lives and holds its lock."""
        found = []
        for path in sorted((self._root / _INCOMING).glob("*")):
            with suppress(FileNotFoundError), path.open("rb") as part:
                name, age = path.name, time.time() - path.stat().st_mtime
                found.append(
                    Belonging(kind="object", id=name, name=f"{_INCOMING}/{name}", age=age, in_use=not _locked(part))
                )
        return tuple(found)

    def discard(self, belonging: Belonging, _token: int) -> bool:
        """Remove an unfinished write; False while its writer lives."""
        path = self._root / _INCOMING / Path(belonging.id).name
        with suppress(FileNotFoundError), path.open("rb") as part:
            if not _locked(part):
                return False
            path.unlink()
        return True

    def _receive(self, chunks: Iterable[bytes]) -> tuple[Path, str]:
        """Write chunks to a new file and flush it to the disk; nothing stays when that fails."""
        incoming = self._root / _INCOMING
        incoming.mkdir(parents=True, exist_ok=True)
        for part in self.belongings():
            if part.age > _ABANDONED:
                self.discard(part, 0)
        sha256 = hashlib.sha256()
        with tempfile.NamedTemporaryFile(dir=incoming, delete=False) as out:  # mode 0600
            fcntl.flock(out, fcntl.LOCK_EX)  # gone with this process: whoever gets it knows that nobody writes any more
            try:
                for chunk in chunks:
                    sha256.update(chunk)
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
            except BaseException:  # KeyboardInterrupt too: a half-written backup may be large
                Path(out.name).unlink()
                raise
        return Path(out.name), sha256.hexdigest()

    def _explained(self, error: OSError, path: Path) -> ReleaseError:
        if error.errno in _FULL:
            free = shutil.disk_usage(self._root).free
            return Unavailable(f"{self._root} is full: {free} bytes are free", "free or add space, then try again")
        if error.errno in _FORBIDDEN:
            return Invalid(f"{path}: {error.strerror}", "let this user write below the folder")
        return Unavailable(f"{path}: {error.strerror}", "check the disk")


def checked(key: str) -> str:
    """Return the key, or raise Invalid: parts between slashes, none empty, hidden, `..`, or with odd characters."""
    parts = key.split("/")
    if len(key) > 1000 or "\\" in key or any(not p or p.startswith(".") or not p.isprintable() for p in parts):
        raise Invalid(f"{key!r} is not a key", "write parts like evidence/shop/plan.json; no part starts with a dot")
    return key


def digest(chunks: Iterable[bytes]) -> str:
    """Hash content without keeping it; 64 hex digits."""
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
    return sha256.hexdigest()


def _locked(part: IO[bytes]) -> bool:
    """Take a file's lock for a moment; False when its writer has it."""
    try:
        fcntl.flock(part, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _place(part: Path, path: Path, sha256: str) -> str:
    """Give the finished file its name; a hard link, unlike a rename, never replaces what another writer put there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(part, path)
    except FileExistsError:
        if not path.is_file():
            raise NotADirectoryError(path) from None
        return _same(path, sha256)
    _flush(path.parent)  # the name too must survive a power cut
    return sha256


def _flush(path: Path) -> None:
    """Have the disk know which names are in a folder."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _same(path: Path, sha256: str) -> str:
    with path.open("rb") as stored:
        if hashlib.file_digest(stored, "sha256").hexdigest() != sha256:
            raise Conflict(f"{path} exists with other content", "objects are written once: choose another key")
    return sha256
