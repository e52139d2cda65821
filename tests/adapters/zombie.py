"""An owner who is stopped at one place in the middle of an effect, as by `kill -STOP` or on a paused machine.

It stops itself, so that the place is exact: after the last look at the token, in front of a command or of a change.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docker import APIClient

from adapters import haproxy_runtime
from adapters.docker import Docker
from adapters.haproxy import HAProxy
from adapters.memory.secrets import MemorySecrets
from adapters.postgres import Postgres
from adapters.postgres_migrate import Migrator
from domain.errors import ReleaseError, Unavailable
from domain.release.artifact import Deployment
from domain.release.route import Route
from domain.schema.migration import Migration
from tests.adapters.shop import DSN


class Zombie:
    """A process that has come as far as `place`, and stopped there."""

    def __init__(self, act: str, place: str, token: int, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.adapters.zombie", act, place, str(token), *arguments]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        _, status = os.waitpid(self._process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"it never came to {place}: {self._process.communicate()[0]}"

    def wake(self) -> str:
        """Let it go on; return how it ended."""
        self._process.send_signal(signal.SIGCONT)
        return self._process.communicate(timeout=60)[0]


def move(place: str, token: int, folder: str, route: str) -> None:
    """Apply a route; `place` is part of a command, or of the path of a file that is about to be replaced."""

    class Line(socket.socket):
        def sendall(self, data: bytes) -> None:  # type: ignore[override]  # all that the runtime passes
            stop_once(place in data.decode())
            super().sendall(data)

    replace = Path.replace

    def stop_and_replace(path: Path, target: Path) -> Path:
        stop_once(place in str(target))
        return replace(path, target)

    haproxy_runtime.socket.socket = Line  # type: ignore[misc]  # for this process only
    Path.replace = stop_and_replace  # type: ignore[method-assign, assignment]  # likewise
    HAProxy(Path(folder), drain=2, ready=5).apply(Route.model_validate_json(route), token)


def migrate(place: str, token: int, dsn: str, step: str) -> None:
    """Migrate a database, once more when it does not answer; `place` is a method of the migrator, and which call."""
    name, _, nth = place.partition(" ")
    method, calls = getattr(Migrator, name), []

    def stop_before(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        stop_once(len(calls) == int(nth))
        return method(*args, **kwargs)

    setattr(Migrator, name, stop_before)
    database = Postgres(DSN, MemorySecrets({DSN: dsn}))
    try:
        database.migrate(Migration.model_validate_json(step), "zombie", token, 0.05, 30.0)
    except Unavailable as error:
        tell(error)
        database.migrate(Migration.model_validate_json(step), "zombie", token, 0.05, 30.0)


NAP = ("python3", "-c", "import time; time.sleep(3); print('done')")


def _stop_at(place: str) -> None:
    """Stop before or after the first request of a name to the engine."""
    when, _, request = place.partition(" ")
    method = getattr(APIClient, request)

    def asked(*args: Any, **kwargs: Any) -> Any:
        stop_once(when == "before")
        answered = method(*args, **kwargs)
        stop_once(when == "after")
        return answered

    setattr(APIClient, request, asked)


def deploy(place: str, token: int, stack: str, deployment: str) -> None:
    """Start a deployment; `place` is a request to the engine, and whether to stop before or after it."""
    _stop_at(place)
    wanted = Deployment.model_validate_json(deployment).model_copy(update={"token": token})
    Docker(None, stack, MemorySecrets({})).start(wanted)


def retire(place: str, token: int, stack: str, deployment: str) -> None:
    """Stop all replicas of a deployment's service."""
    _stop_at(place)
    docker, wanted = Docker(None, stack, MemorySecrets({})), Deployment.model_validate_json(deployment)
    docker.stop(docker.running(wanted.service, wanted.environment), grace=1, token=token)


def check(place: str, token: int, stack: str, deployment: str) -> None:
    """Run a command in a deployment."""
    _stop_at(place)
    wanted = Deployment.model_validate_json(deployment).model_copy(update={"token": token})
    Docker(None, stack, MemorySecrets({})).run(wanted, NAP, timeout=60)


_STOPPED: list[bool] = []


def stop_once(here: bool) -> None:
    """Stop this process when it is where it should stop, and has not been there before."""
    if here and not _STOPPED:
        _STOPPED.append(True)
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # by os.kill this thread may still run on a little


def tell(error: ReleaseError) -> None:
    """Say how it ended."""
    sys.stdout.write(f"{type(error).__name__} {error.message}\n")


ACTS: dict[str, Callable[..., None]] = {act.__name__: act for act in (move, migrate, deploy, retire, check)}

if __name__ == "__main__":
    act, place, token, *arguments = sys.argv[1:]
    try:
        ACTS[act](place, int(token), *arguments)
        sys.stdout.write("done\n")
    except ReleaseError as error:
        tell(error)
