"""The rules that cut one connection and no other; on the kernel itself they are tried in a network of their own."""

import subprocess
import sys

import pytest

from bench.chaos.links import Link

LEDGER = Link("ledger", 18601, 18432)

# A server that answers every line, asked through two links to it.
_TRY = """
import socket, socketserver, subprocess, threading
from bench.chaos.links import Link, cut, lead

class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)

def ask(line, timeout=1.0):
    line.settimeout(timeout)
    try:
        line.sendall(b"hello\\n")
        return line.recv(6).decode().strip() or "closed"
    except TimeoutError:
        return "silence"
    except ConnectionResetError:
        return "reset"

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
server = socketserver.ThreadingTCPServer(("127.0.0.1", 7000), Echo)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
one, other = Link("one", 7001, 7000), Link("other", 7002, 7000)
lead([one, other])
lead([one, other])  # a second time changes nothing
lines = [socket.create_connection(("127.0.0.1", port), 2) for port in (7001, 7002)]
print(*map(ask, lines))
with cut(one, "hole"):
    print(*map(ask, lines))
print(lines[0].recv(6).decode().strip(), ask(lines[0]))  # what was sent into the hole arrives once it is closed
with cut(one, "reset"):
    print(*map(ask, lines))
print(ask(socket.create_connection(("127.0.0.1", 7001), 2)))
"""


def test_a_cut_goes_by_the_port_that_was_asked_for_in_both_directions() -> None:
    rules = list(LEDGER.cuts("hole"))
    assert [rule[0] for rule in rules] == ["INPUT", "OUTPUT"]
    assert all(rule[rule.index("--ctorigdstport") + 1] == "18601" for rule in rules)
    assert all(rule[-1] == "DROP" for rule in rules)
    assert all(rule[-1] == "tcp-reset" for rule in LEDGER.cuts("reset"))


def test_a_link_leads_to_its_product() -> None:
    words = LEDGER.redirect()
    assert words[words.index("--dport") + 1] == "18601"
    assert words[-1] == "127.0.0.1:18432"


@pytest.mark.real
def test_one_link_is_cut_and_the_other_to_the_same_server_is_not() -> None:
    command = ["unshare", "--net", sys.executable, "-c", _TRY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == [
        "hello hello",
        "silence hello",
        "hello hello",
        "reset hello",
        "hello",
    ], done.stderr
