"""What HAProxy reads: a configuration and its maps, rendered from routes. Pure text, no I/O.

Layout of the router's folder::

    routes/<name>@<token>.json   the wish, by the fencing token of its owner: the highest counts
    haproxy.cfg                  everything below is rendered from the wishes
    maps/split.map               route → green's share in basis points
    maps/<name>.segments.map     x-segment header value → slot
    run/admin.sock, master.sock  the runtime and the master's command line

A server is called `<replica>:<address>:<port>`: its address is part of its identity, so a replica that comes back under
its old name at another address is simply another server, and joins before the old one leaves.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from domain.errors import Invalid
from domain.release.route import Endpoint, Route, Slot

SLOTS: tuple[Slot, Slot] = ("blue", "green")
LOG_PORT_OFFSET = 10_000  # a route on port p sends its log lines to UDP port p + 10 000
WEIGHT = 100
SILENCE = 3  # seconds until a worker hangs up on whoever connects and says nothing
# Half-second checks find a sick replica in 1.5 s; three failures, so that a slow answer under load does not evict one.
# Three refused connections in a row find a dead one at once: a lone replica killed at 200 requests/s failed 295 of them
# without `observe`, 4 with it (and 1 with error-limit 1, where a single lost packet would evict a lone replica).
SERVER_OPTIONS = "check inter 500ms rise 1 fall 3 pool-purge-delay 2s observe layer4 error-limit 3 on-error mark-down"

_FOLDER = re.compile(r"[\w./-]+")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PATH = re.compile(r"/[\w./?=&%+~-]*")

# idle-close-on-response: without it five reloads under load lost 28 POSTs, with it none. No close-spread-time: it cuts
# idle connections all the same (60 reloads at 150 requests/s: 1 lost and 10 retried with it, none without).
# Only GET is replayed after a broken connection; a POST may already have had its effect.
_HEAD = """\
global
  stats socket {run}/admin.sock mode 600 level admin expose-fd listeners
  stats timeout {silence}s
  maxconn 4000
  hard-stop-after 60s
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
  timeout http-keep-alive 30s
  timeout http-request 10s
  timeout queue 5s
  timeout check 2s
  option http-keep-alive
  option idle-close-on-response
  option dontlognull
  option redispatch 1
  retries 3
  retry-on conn-failure empty-response response-timeout
  http-reuse safe
"""
# The listener is named after the health path, and socket-stats lists it: so the runtime can be asked for both.
_FRONTEND = """
frontend {name}
  bind {bind}:{port} name {health}
  option socket-stats
  log 127.0.0.1:{log_port} len 1024 format raw local0
  log-format "%b %s %ST %[date(0,us),sub(txn.t0)] %HM %ts %[var(txn.user),sdbm]"
  http-request disable-l7-retry unless METH_GET
  http-request set-var(txn.t0) date(0,us)
  http-request set-var(txn.user) req.hdr(x-user-id)
  http-request set-var(txn.user) req.cook(uid) if !{{ var(txn.user) -m found }}
  http-request set-var(txn.bucket) var(txn.user),crc32(1),mod(10000) if {{ var(txn.user) -m found }}
  http-request set-var(txn.bucket) rand(10000) if !{{ var(txn.user) -m found }}
  http-request set-var(txn.share) str({name}),map_str_int({maps}/split.map,0)
  http-request set-var(txn.pin) req.hdr(x-segment),map_str({maps}/{name}.segments.map,none)
  http-request set-var(txn.slot) str(blue)
  http-request set-var(txn.slot) str(green) if {{ var(txn.bucket),sub(txn.share) lt 0 }}
  http-request set-var(txn.slot) var(txn.pin) if {{ var(txn.pin) -m str blue green }}
  http-request set-var(txn.slot) str(blue) if {{ nbsrv({name}__green) eq 0 }} {{ nbsrv({name}__blue) gt 0 }}
  http-request set-var(txn.slot) str(green) if {{ nbsrv({name}__blue) eq 0 }} {{ nbsrv({name}__green) gt 0 }}
  use_backend {name}__green if {{ var(txn.slot) -m str green }}
  default_backend {name}__blue
"""
_BACKEND = """
backend {backend}
  balance roundrobin
  option httpchk GET {health}
  http-check expect status 200
"""


def check(route: Route) -> None:
    """Raise Invalid, all problems at once, for a route that cannot be written into HAProxy's files and commands."""
    problems = []
    if not _WORD.fullmatch(route.name):
        problems.append(f"route {route.name!r}: the name may hold letters, digits, dot, dash and underscore")
    if not 0 < route.port <= 65_535 - LOG_PORT_OFFSET:
        problems.append(f"route {route.name}: port {route.port} is not in 1..{65_535 - LOG_PORT_OFFSET}")
    if not _PATH.fullmatch(route.health):
        problems.append(f"route {route.name}: health path {route.health!r} is not a plain URL path")
    problems += [
        f"route {route.name}: segment {segment!r} may hold letters, digits, dot, dash and underscore"
        for segment in route.segments
        if not _WORD.fullmatch(segment)
    ]
    for slot in SLOTS:
        endpoints = route.endpoints(slot)
        problems += [
            f"route {route.name}: {slot} {endpoint!r} is not addressable"
            for endpoint in endpoints
            if not _fits(endpoint)
        ]
        if len({endpoint.name for endpoint in endpoints}) < len(endpoints):
            problems.append(f"route {route.name}: two replicas in {slot} carry one name")
    if problems:
        raise Invalid.all(problems, "an endpoint is a plain name, an IP address and a port")


def check_folder(folder: Path) -> None:
    """Raise Invalid when HAProxy could not use a folder: Unix socket paths are short, and it reads words, not quotes.

    HAProxy binds under a temporary name first, which takes 10 of the 107 characters that Unix allows.
    """
    longest = folder / "run" / "master.sock"
    if len(str(longest)) > 97:
        raise Invalid(
            f"{longest}: a socket path has {len(str(longest))} characters, HAProxy can use 97", "move the folder up"
        )
    if not _FOLDER.fullmatch(str(folder)):
        raise Invalid(f"{folder}: HAProxy's configuration cannot name this folder", "use letters, digits, . _ and -")


def log_port(route: Route) -> int:
    """Tell the UDP port that a route's log lines go to."""
    return route.port + LOG_PORT_OFFSET


def backend(route: str, slot: Slot) -> str:
    """Name the backend of a slot."""
    return f"{route}__{slot}"


def server(endpoint: Endpoint) -> str:
    """Name a server: replica, address and port."""
    return f"{endpoint.name}:{endpoint.address}:{endpoint.port}"


def replica(server: str) -> str:
    """Tell the replica behind a server's name."""
    return server.partition(":")[0]


def render(routes: Sequence[Route], folder: Path, bind: str) -> dict[str, str]:
    """Render every file of the router: path inside the folder → text."""
    config = [
        _HEAD.format(run=folder / "run", silence=SILENCE),
        *(_route(route, folder / "maps", bind) for route in routes),
    ]
    split = "".join(f"{route.name} {route.green_share}\n" for route in routes)
    segments = {
        f"maps/{route.name}.segments.map": "".join(f"{key} {slot}\n" for key, slot in sorted(route.segments.items()))
        for route in routes
    }
    return {**segments, "maps/split.map": split, "haproxy.cfg": "".join(config)}


def _route(route: Route, maps: Path, bind: str) -> str:
    frontend = _FRONTEND.format(
        name=route.name, port=route.port, health=route.health, bind=bind, maps=maps, log_port=log_port(route)
    )
    return frontend + "".join(_slot(route, slot) for slot in SLOTS)


def _slot(route: Route, slot: Slot) -> str:
    lines = [
        f"  server {server(endpoint)} {endpoint.address}:{endpoint.port} weight {WEIGHT} {SERVER_OPTIONS}\n"
        for endpoint in route.endpoints(slot)
    ]
    return _BACKEND.format(backend=backend(route.name, slot), health=route.health) + "".join(lines)


def _fits(endpoint: Endpoint) -> bool:
    try:
        ip_address(endpoint.address)
    except ValueError:
        return False
    return bool(_WORD.fullmatch(endpoint.name)) and 0 < endpoint.port <= 65_535
