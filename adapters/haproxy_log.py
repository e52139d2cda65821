"""HAProxy's log as measurements: one UDP datagram per request, counted by the second in which the request ended."""

import errno
import socket
import threading
from types import TracebackType
from typing import Self

from adapters import haproxy_config
from adapters.system_clock import SteadyClock
from domain.canary.tick import Sample, Tick, gather
from domain.errors import Unavailable
from domain.release.route import Route, Slot

_BUFFER = 8 << 20  # bytes; holds tens of thousands of lines while this process is busy judging
_CLIENT_GONE = 499  # nginx's number for "the client closed the request": not the service's failure


class LogStream:
    """Listens to one route for as long as it is entered.

    A line is counted in the second in which it is read, so every line lands in exactly one tick, and no tick waits for
    stragglers. Seconds are the wall clock's, kept steady from the start, so that a clock that is set while listening
    neither skips nor repeats one.
    """

    def __init__(self, route: Route, candidate: Slot) -> None:
        self._port = haproxy_config.log_port(route)
        self._arms = {haproxy_config.backend(route.name, s): route.arm(s, candidate) for s in haproxy_config.SLOTS}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._lock = threading.Lock()
        self._seconds: dict[int, list[Sample]] = {}
        self._leaving = threading.Event()
        self._reader = threading.Thread(target=self._read, name=f"log-{self._port}", daemon=True)
        self._clock = SteadyClock()
        self._next = 0

    def __enter__(self) -> Self:
        """Take the UDP port. Raises Unavailable when somebody else listens to this route."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.settimeout(0.1)
        try:
            self._socket.bind(("127.0.0.1", self._port))
        except OSError as error:
            self._socket.close()
            why = "somebody listens to this route already" if error.errno == errno.EADDRINUSE else str(error)
            raise Unavailable(f"UDP 127.0.0.1:{self._port}: {why}", "end the other canary, then try again") from error
        self._next = int(self._clock.now())
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the port back."""
        self._leaving.set()
        self._reader.join()
        self._socket.close()

    def tick(self) -> Tick:
        """Wait until the current second has closed and count it."""
        second = self._next
        while (left := second + 1 - self._clock.now()) > 0:
            self._clock.sleep(left)
        with self._lock:
            self._next = second + 1
            samples = self._seconds.pop(second, [])
        return gather(second, samples)

    def _read(self) -> None:
        while not self._leaving.is_set():
            try:
                line = self._socket.recv(1024)
            except TimeoutError:
                continue
            if (sample := self._sample(line.decode(errors="replace"))) is not None:
                with self._lock:
                    second = max(int(self._clock.now()), self._next)  # a second that was told is closed
                    self._seconds.setdefault(second, []).append(sample)

    def _sample(self, line: str) -> Sample | None:
        """Read `backend server status microseconds method termination user`; None for what is no request of ours.

        The user is a hash of what keeps them on one version, `-` for whoever has no name. Whoever was proxied by a
        configuration from before has no such field.
        """
        fields = line.split()
        if len(fields) not in (6, 7) or fields[0] not in self._arms:
            return None
        backend, server, status, microseconds, _, termination, user = (*fields, "-")[:7]
        given_up = termination[0] in "Cc" and int(status) <= 0
        return Sample(
            arm=self._arms[backend],
            replica=haproxy_config.replica(server),
            status=_CLIENT_GONE if given_up else int(status),
            microseconds=int(microseconds),
            client="" if user == "-" else user,
        )
