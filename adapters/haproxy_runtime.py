"""HAProxy's two command lines: the worker's (servers, maps) and the master's (reload, workers it left behind)."""

import csv
import io
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from adapters import haproxy_config
from domain.errors import Conflict, Unavailable
from domain.release.route import Endpoint, Slot

Place = tuple[Slot, Endpoint]


@dataclass(frozen=True)
class Server:
    """A server as the running worker reports it; `check` is the last health check in HAProxy's words."""

    status: str
    weight: int
    check: str
    sessions: int


@dataclass(frozen=True)
class Running:
    """One route as the running worker reports it."""

    port: int
    health: str
    servers: Mapping[Place, Server]

    def members(self, slot: Slot) -> tuple[Endpoint, ...]:
        """List the replicas that take their part of a slot's traffic, in order of name."""
        endpoints = (place[1] for place in self.servers if place[0] == slot and self.member(place))
        return tuple(sorted(endpoints, key=lambda endpoint: endpoint.name))

    def member(self, place: Place) -> bool:
        """Tell whether a replica has a weight: weight 0 means that it is joining or leaving."""
        server = self.servers.get(place)
        return server is not None and server.weight > 0 and not self.rests(place)

    def rests(self, place: Place) -> bool:
        """Tell whether a replica is switched off: just added, about to be deleted, or drained by an operator."""
        server = self.servers.get(place)
        return server is not None and server.status.startswith(("MAINT", "DRAIN"))

    def passed(self, place: Place) -> bool:
        """Tell whether the last health check of a replica passed."""
        server = self.servers.get(place)
        return server is not None and server.status.startswith("UP") and server.check.startswith("L7OK")

    def busy(self, place: Place) -> bool:
        """Tell whether a replica still answers requests."""
        server = self.servers.get(place)
        return server is not None and server.sessions > 0


class Runtime:
    """Talks to one HAProxy over the Unix sockets in `run`; `timeout` in seconds for every exchange.

    After a reload the old worker still answers one request on each idle connection it holds, by its own maps and
    servers. So whatever moves traffic is told to old workers too, and whoever waits for requests to end asks them too.

    `insist` raises when the caller may send nothing any more. It is asked before every command, when the line is open
    already: a command that is held up after that finds the line closed (haproxy_config.SILENCE).
    """

    def __init__(self, run: Path, timeout: float = 5.0, insist: Callable[[], None] = lambda: None) -> None:
        self._admin = run / "admin.sock"
        self._master = run / "master.sock"
        self._timeout = timeout
        self._insist = insist

    def ask(self, command: str) -> str:
        """Send one command to the worker. Raises Unavailable when it does not answer in time."""
        return self._exchange(self._admin, command)

    def order(self, command: str, expected: str = "") -> None:
        """Send one command that should succeed; most do so in silence. Raises Conflict when HAProxy refuses."""
        answer = self.ask(command)
        if answer != expected:
            raise Conflict(
                f"HAProxy at {self._admin} refused `{command}`: {answer}", "look at the route, then apply it again"
            )

    def order_all(self, command: str) -> None:
        """Order, and tell the old workers; those that do not know the thing need not obey."""
        self.order(command)
        for ask in self._old():
            ask(command)

    def reload(self) -> None:
        """Have the master start a new worker on the rendered files; the old one ends its requests in its own time."""
        self._ask_master("reload")

    def running(self, route: str) -> Running | None:
        """Look at a route; None when the worker has no such frontend."""
        table = self.ask("show stat")
        if not table.startswith("# pxname"):
            raise Unavailable(
                f"HAProxy at {self._admin} reports nothing: {table}", "it is just being replaced; try again"
            )
        return _running(table, route)

    def everywhere(self, route: str) -> list[Running]:
        """Look at a route in every worker that knows it, old ones included."""
        return [seen for ask in (self.ask, *self._old()) if (seen := _running(ask("show stat"), route)) is not None]

    def entries(self, path: Path) -> dict[str, str]:
        """Read a map out of the worker's memory."""
        lines = (line.split() for line in self.ask(f"show map {path}").splitlines())
        return {line[1]: line[2] for line in lines if len(line) == 3 and line[0].startswith("0x")}

    def replace(self, path: Path, entries: Mapping[str, str]) -> None:
        """Replace a whole map at once: a request sees the old one or the new one, never a mixture."""
        for ask in (self.ask, *self._old()):
            version = ask(f"prepare map {path}").rpartition(":")[2].strip()
            for key, value in entries.items():
                ask(f"add map @{version} {path} {key} {value}")
            ask(f"commit map @{version} {path}")
        if (told := self.entries(path)) != entries:
            raise Conflict(f"HAProxy at {self._admin} holds {told} in {path}", "somebody else changes it; apply again")

    def _old(self) -> list[Callable[[str], str]]:
        """List ways to ask the workers that a reload has left behind."""
        _, _, table = self._ask_master("show proc").partition("# old workers")
        pids = [line.split()[0] for line in table.splitlines() if line[:1].isdigit()]
        return [partial(self._ask_old, pid) for pid in pids]

    def _ask_old(self, pid: str, command: str) -> str:
        return self._ask_master(f"@!{pid} {command}")

    def _ask_master(self, command: str) -> str:
        """Ask until it answers: to reload, the master executes itself anew, and for a moment nobody listens."""
        give_up = time.monotonic() + self._timeout
        while True:
            try:
                return self._exchange(self._master, command)
            except Unavailable:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.05)

    def _exchange(self, path: Path, command: str) -> str:
        deadline = time.monotonic() + self._timeout
        answer = b""
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(self._timeout)
                line.connect(str(path))
                self._insist()
                line.sendall(command.encode() + b"\n")
                line.shutdown(socket.SHUT_WR)
                while part := line.recv(65_536):
                    answer += part
                    line.settimeout(max(0.001, deadline - time.monotonic()))
        except OSError as error:
            raise Unavailable(
                f"HAProxy did not answer `{command}` at {path}: {error}", "is the router running? its log says why not"
            ) from error
        return answer.decode().strip()


def _running(table: str, route: str) -> Running | None:
    rows = list(csv.DictReader(io.StringIO(table.removeprefix("# "))))
    listener = next((row for row in rows if row["pxname"] == route and row["type"] == "3"), None)
    if listener is None:
        return None
    servers = {
        (slot, _endpoint(row)): _server(row)
        for slot in haproxy_config.SLOTS
        for row in rows
        if row["pxname"] == haproxy_config.backend(route, slot) and row["type"] == "2"
    }
    return Running(port=int(listener["addr"].rpartition(":")[2] or 0), health=listener["svname"], servers=servers)


def _endpoint(row: Mapping[str, str]) -> Endpoint:
    address, _, port = row["addr"].rpartition(":")
    return Endpoint(name=haproxy_config.replica(row["svname"]), address=address.strip("[]"), port=int(port))


def _server(row: Mapping[str, str]) -> Server:
    check = row["check_status"].removeprefix("* ")  # the star marks a check that is under way
    return Server(
        status=row["status"],
        weight=int(row["weight"] or 0),
        check=f"{check} {row['last_chk']}".strip() or "not checked yet",
        sessions=int(row["scur"] or 0),
    )
