import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from adapters.http import HttpProbe
from adapters.memory.probe import NOWHERE, MemoryProbe
from domain.errors import Invalid, Unavailable
from domain.ports import Probe


class App(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/dripping":
            self.send_response(200)
            self.end_headers()
            with suppress(ConnectionError):
                for _ in range(100):
                    self.wfile.write(b".")
                    time.sleep(0.05)
        elif self.path == "/elsewhere":
            self.answer(302, "", location="/ok")
        else:
            self.answer(200 if self.path == "/ok" else 404, "ok" if self.path == "/ok" else "no such page")

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer(201, f"{self.headers['Content-Type']} {sent}")

    def answer(self, status: int, body: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body.encode()))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def app() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["memory", pytest.param("http", marks=pytest.mark.real)])
def probe(request: pytest.FixtureRequest) -> Probe:
    return HttpProbe() if request.param == "http" else MemoryProbe({"/missing": (404, "no such page")})


def test_a_healthy_replica_answers(probe: Probe, app: str) -> None:
    assert probe.request("GET", f"{app}/ok", None, 5.0) == (200, "ok")


def test_an_error_page_is_an_answer_and_not_an_exception(probe: Probe, app: str) -> None:
    assert probe.request("GET", f"{app}/missing", None, 5.0) == (404, "no such page")


def test_silence_is_unavailable(probe: Probe) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        where = NOWHERE if isinstance(probe, MemoryProbe) else f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unavailable, match=where):
            probe.request("GET", f"http://{where}/ok", None, 1.0)


def test_a_replica_without_an_address_is_unavailable(probe: Probe) -> None:
    with pytest.raises(Unavailable):
        probe.request("GET", "http://:8080/ok", None, 1.0)


def test_what_is_no_url_is_invalid(probe: Probe) -> None:
    with pytest.raises(Invalid, match="/ok"):
        probe.request("GET", "/ok", None, 1.0)


@pytest.mark.real
def test_a_body_is_sent_as_json(app: str) -> None:
    assert HttpProbe().request("POST", f"{app}/orders", '{"n":1}', 5.0) == (201, 'application/json {"n":1}')


@pytest.mark.real
def test_a_redirect_is_reported_and_not_followed(app: str) -> None:
    assert HttpProbe().request("GET", f"{app}/elsewhere", None, 5.0)[0] == 302


@pytest.mark.real
def test_an_answer_that_drips_is_cut_off(app: str) -> None:
    with pytest.raises(Unavailable, match="not complete"):
        HttpProbe().request("GET", f"{app}/dripping", None, 0.3)


@pytest.mark.real
def test_a_proxy_in_the_environment_is_not_asked(app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert HttpProbe().request("GET", f"{app}/ok", None, 5.0) == (200, "ok")


def test_the_memory_probe_can_be_scripted_with_a_function() -> None:
    probe = MemoryProbe(lambda method, url, body: (500, "broken") if method == "POST" else None)
    assert probe.request("POST", "http://10.0.0.1/orders", "{}", 1.0) == (500, "broken")
    assert probe.request("GET", "http://10.0.0.1/", None, 1.0) == (200, "ok")
    assert probe.asked == [("POST", "http://10.0.0.1/orders"), ("GET", "http://10.0.0.1/")]
