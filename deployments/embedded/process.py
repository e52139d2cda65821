"""Start a program in the background, know it again later, and stop exactly that one."""

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel

from domain.errors import Unavailable

_STARTED: dict[int, "subprocess.Popen[bytes]"] = {}  # children of this very process, by pid: only it can reap them


class Child(BaseModel, frozen=True):
    """A program that we started; `born` (clock ticks since boot) tells it from a later owner of the same pid."""

    name: str
    pid: int
    born: int
    log: str

    @property
    def alive(self) -> bool:
        """Tell whether this very process still runs."""
        return _born(self.pid) == self.born


def start(
    name: str,
    command: Sequence[str],
    *,
    folder: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    patience: float = 60.0,
    user: str | None = None,
) -> Child:
    """Start a program in a session of its own, log to `folder/NAME.log`, and wait until `ready()` is true.

    Raises Unavailable with the end of its log when it dies or is not ready after `patience` seconds; it is then gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,  # a uid alone would keep root's groups
            extra_groups=[] if user else None,
            env={**os.environ, **(env or {})},
        )
    _STARTED[process.pid] = process
    child = Child(name=name, pid=process.pid, born=_born(process.pid) or 0, log=str(log))
    give_up = time.monotonic() + patience
    while time.monotonic() < give_up and process.poll() is None:
        if ready():
            return child
        time.sleep(0.05)
    stop(child)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise Unavailable(f"{name} did not come up: {' '.join(command)}\n{tail}", f"the whole log is in {log}")


def stop(child: Child, *, patience: float = 10.0, how: signal.Signals = signal.SIGTERM) -> None:
    """Stop a program and whatever it started: first politely, after `patience` seconds by SIGKILL."""
    for sign, wait in ((how, patience), (signal.SIGKILL, 5.0)):
        if child.alive:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, sign)
        end = time.monotonic() + wait
        while child.alive and time.monotonic() < end:
            time.sleep(0.02)
    _reap(child.pid)


def _reap(pid: int) -> None:
    if process := _STARTED.pop(pid, None):
        process.wait(5)  # its first thread is gone; the others may take a moment


def _born(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])
