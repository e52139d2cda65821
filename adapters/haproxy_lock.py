"""Locks among the processes on one router's folder.

The kernel frees the lock of a process that died, but not of one that was stopped. What all routes share must not stand
still for its nap: that lock has generations, `<name>@<n>`, and whoever need not wait any longer opens the next one. A
holder whose generation is not the newest any more has lost the lock; no generation ever comes back.
"""

import fcntl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from domain.errors import Unavailable

_OVERDUE = 30.0  # seconds; whoever is awake is done before: a reload is waited for at most 20
_PATIENCE = 60.0  # seconds
_POLL = 0.01  # seconds


@contextmanager
def alone(path: Path, patience: float) -> Iterator[None]:
    """Hold a lock for as long as it takes. Raises Unavailable when somebody else does for `patience` seconds."""
    give_up = time.monotonic() + patience
    with path.open("w") as file:
        while not _locked(file):
            _wait(path, patience, give_up)
        yield


def is_held(path: Path) -> bool:
    """Tell whether somebody holds a lock of `alone` just now."""
    if not path.exists():
        return False
    with path.open() as file:
        return not _locked(file)


class SharedLock:
    """A lock that is held for moments, and lost by a holder who was stopped."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name

    @contextmanager
    def held(self, route: str, token: int) -> Iterator[Callable[[], None]]:
        """Hold the lock for a route's owner; yields a question that raises Unavailable once the lock is lost.

        An older owner of the same route loses it at once, any other when it is overdue.
        """
        holder, since = "", time.monotonic()
        give_up = since + _PATIENCE
        while True:
            number = self._newest()
            with self._generation(number).open("a+") as file:
                if _locked(file):
                    if number != self._newest():
                        continue  # lost before it was won
                    _sign(file, f"{token} {route} {uuid.uuid4()}")
                    try:
                        yield partial(self._insist, number)
                    finally:
                        _sign(file, "")
                    return
                said = _signature(file)
            if said != holder:
                holder, since = said, time.monotonic()
            if _outranked(said, route, token) or time.monotonic() - since > _OVERDUE:
                self._open_after(number)
            else:
                _wait(self._generation(number), _PATIENCE, give_up)

    def _insist(self, number: int) -> None:
        if self._newest() != number:
            raise Unavailable(f"{self._generation(number)}: held for too long, and lost", "try again")

    def _open_after(self, number: int) -> None:
        """Open the next generation; the last but one goes, so that whoever lists them always finds one."""
        self._generation(number + 1).touch()
        self._generation(number - 1).unlink(missing_ok=True)

    def _newest(self) -> int:
        return max((int(path.name.rpartition("@")[2]) for path in self._folder.glob(f"{self._name}@*")), default=1)

    def _generation(self, number: int) -> Path:
        return self._folder / f"{self._name}@{number}"


def _outranked(signature: str, route: str, token: int) -> bool:
    signed = signature.split()
    return len(signed) == 3 and signed[1] == route and int(signed[0]) < token


def _signature(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _sign(file: IO[str], text: str) -> None:
    file.truncate(0)
    file.write(text)
    file.flush()


def _wait(path: Path, patience: float, give_up: float) -> None:
    if time.monotonic() > give_up:
        raise Unavailable(f"{path}: held by another process for {patience:.0f} s", "wait for its apply to end")
    time.sleep(_POLL)


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
