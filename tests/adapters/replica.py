"""A tiny HTTP service that says which version it is, for tests of traffic."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from domain.release.route import Endpoint


def free_port() -> int:
    """Find a port whose log port is in range too."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port <= 55_535:
            return port


class Replica(ThreadingHTTPServer):
    """Answers with its version; `healthy` decides /healthz.

    `/slow` takes half a second (or `?seconds=`), `/boom` is a 500, a POST to `/hang-up` has no answer.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str, version: str, healthy: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.name = name
        self.version = version
        self.healthy = healthy
        self.rows = count(1)
        self._stopped = False
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def endpoint(self) -> Endpoint:
        """Say where it is."""
        return Endpoint(name=self.name, address="127.0.0.1", port=self.server_address[1])

    def stop(self) -> None:
        """Refuse connections from now on."""
        if not self._stopped:
            self._stopped = True
            self.shutdown()
            self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: peers that hang up are what these tests are about."""


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one segment per answer
    server: Replica

    def do_GET(self) -> None:
        self._answer({"/healthz": 200 if self.server.healthy else 503, "/boom": 500}.get(self.path, 200))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/hang-up":
            self.close_connection = True
        else:
            self._answer(201)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def _answer(self, status: int) -> None:
        path, _, wanted = self.path.partition("?seconds=")
        if path == "/slow":
            time.sleep(float(wanted or 0.5))
        body = json.dumps({"id": f"{self.server.name}-{next(self.server.rows)}"}).encode()
        self.send_response(status)
        self.send_header("x-version", self.server.version)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
