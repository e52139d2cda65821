"""Know again whatever a stack started, however deep: every process carries the stack's name in its environment."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VARIABLE = "INTERLOCK_STACK"


@contextmanager
def marking(name: str) -> Iterator[None]:
    """Have everything that is started meanwhile carry this name; what that starts inherits it."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = name
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before


def carriers(name: str) -> Iterator[int]:
    """List the processes that carry a name, except our own."""
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) != os.getpid() and _carries(int(folder.name), name):
            yield int(folder.name)


def stop_all(name: str, patience: float = 10.0) -> None:
    """Stop every process that carries a name: flow runs, and what an interrupted start left behind."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up and (found := list(carriers(name))):
            for pid in found:
                _send(pid, sign, name)
            time.sleep(0.1)


def _carries(pid: int, name: str) -> bool:
    with suppress(OSError):  # gone meanwhile, or somebody else's
        return f"{VARIABLE}={name}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


def _send(pid: int, sign: signal.Signals, name: str) -> None:
    """Signal a process that carries the name; the handle is taken before the look, so a reused pid cannot be hit."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if _carries(pid, name):
                signal.pidfd_send_signal(handle, sign)
        finally:
            os.close(handle)
