"""An owner who is stopped at one place in the middle of an apply, as `kill -STOP` or a paused machine would.

It stops itself, so that the place is exact: between the last look at its token and a command, or before a file changes.
"""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from adapters import haproxy_runtime
from adapters.haproxy import HAProxy
from domain.errors import ReleaseError
from domain.release.route import Route


class Zombie:
    """A process that applies a route and stops in front of the first command, or file, that has `place` in its name."""

    def __init__(self, folder: Path, route: Route, token: int, place: str) -> None:
        command = [
            sys.executable,
            "-m",
            "tests.adapters.zombie",
            str(folder),
            route.model_dump_json(),
            str(token),
            place,
        ]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        _, status = os.waitpid(self._process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"it never came to {place}: {self._process.communicate()[0]}"

    def wake(self) -> str:
        """Let it go on; return how it ended."""
        self._process.send_signal(signal.SIGCONT)
        return self._process.communicate(timeout=60)[0]


def _stop_once(place: str) -> None:
    stopped = [False]

    def pass_by(what: str) -> None:
        if place in what and not stopped[0]:
            stopped[0] = True
            os.kill(os.getpid(), signal.SIGSTOP)

    class Line(socket.socket):
        def sendall(self, data: bytes) -> None:  # type: ignore[override]  # all that the runtime passes
            pass_by(data.decode())
            super().sendall(data)

    replace = Path.replace

    def stop_and_replace(path: Path, target: Path) -> Path:
        pass_by(str(target))
        return replace(path, target)

    haproxy_runtime.socket.socket = Line  # type: ignore[misc]  # for this process only
    Path.replace = stop_and_replace  # type: ignore[method-assign, assignment]


def main(folder: str, route: str, token: str, place: str) -> None:
    _stop_once(place)
    try:
        HAProxy(Path(folder), drain=2, ready=5).apply(Route.model_validate_json(route), int(token))
        sys.stdout.write("applied")
    except ReleaseError as error:
        sys.stdout.write(f"{type(error).__name__} {error.message}")


if __name__ == "__main__":
    main(*sys.argv[1:])
