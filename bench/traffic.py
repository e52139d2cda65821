"""Open-loop HTTP/1.1 load: requests start when they are due, whether or not the last ones have been answered.

As a library (the load runs in a process of its own and does not disturb, nor is disturbed by, the caller)::

    mix = [Call("list", path="/orders"), Call("order", "POST", "/orders", '{"sku": {n}}')]
    with Load(port=8080, rate=300, mix=mix) as load:
        ...
        print(load.snapshot().failed)
    report = load.stop()

As a command: `python bench/traffic.py --port 8080 --rate 300 --seconds 10 --path /orders`, or `--mix calls.json` with
a list of calls; it prints one line per second and the report as JSON.

Latency counts from the moment a request was due, so a stalled server cannot hide behind a stalled client. One retry is
made, and counted, for a GET on a reused connection that died before its first byte; browsers do the same
(RFC 9110 §9.2.2).
Only the standard library is used, so that the process is up in a tenth of a second.
"""

import argparse
import asyncio
import json
import math
import random
import select
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Self

_RATIO = math.log(1.02)  # latency buckets are 2 % apart
_PATIENCE = 60.0  # seconds for the load process to say something
_IDLE = 5.0  # seconds after which a pool forgets a connection, as httpx does: servers close idle ones without a word


@dataclass(frozen=True)
class Call:
    """One kind of request; `{n}` becomes a random integer in 1..numbers, `{key}` something never sent before."""

    name: str
    method: str = "GET"
    path: str = "/"
    body: str = ""
    weight: float = 1.0
    expected: Sequence[int] = (200, 201, 204)
    headers: Mapping[str, str] = field(default_factory=dict)
    numbers: int = 1000


@dataclass(frozen=True)
class Event:
    """One request: when it was due (seconds since the epoch), what came of it, and the `id` of a row it wrote."""

    start: float
    status: str
    version: str
    call: str
    key: str
    milliseconds: float


@dataclass(frozen=True)
class Report:
    """What has been sent and answered so far; a status is a number, or the name of the error that took its place."""

    sent: int
    ok: int
    failed: int
    client_retries: int
    by_status: dict[str, int]
    by_version: dict[str, int]
    by_call: dict[str, dict[str, int]]
    p50: float
    p95: float
    p99: float
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    @classmethod
    def read(cls, text: str) -> "Report":
        """Read what `write` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "events": [Event(*event) for event in fields["events"]]})

    def write(self) -> str:
        """Write as one line of JSON."""
        return json.dumps({**self.__dict__, "events": [tuple(event.__dict__.values()) for event in self.events]})


class Load:
    """Traffic on one port, from `start` (or `with`) to `stop`.

    `rate` is requests per second, evenly spaced; `users` is how many ids share them; `fresh` is the part of the
    requests that open a connection of their own; `events` keeps one Event per request for the final report; `timeout`
    in seconds. The ids of rows written (the `id` in the JSON answer of a call that is not a GET) are in the final
    report only.
    """

    def __init__(
        self,
        port: int,
        rate: float,
        mix: Sequence[Call],
        users: int = 500,
        seed: int = 1,
        *,
        host: str = "127.0.0.1",
        fresh: float = 0.05,
        events: bool = False,
        timeout: float = 30.0,
    ) -> None:
        self._order = {
            "port": port,
            "rate": rate,
            "mix": [asdict(call) for call in mix],
            "users": users,
            "seed": seed,
            "host": host,
            "fresh": fresh,
            "events": events,
            "timeout": timeout,
        }
        self._process: subprocess.Popen[str] | None = None
        self._report: Report | None = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Begin to send."""
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._say(json.dumps(self._order))

    @property
    def pid(self) -> int:
        """Name the load's process; 0 before it is started."""
        return self._process.pid if self._process else 0

    def snapshot(self) -> Report:
        """Read the counters; after `stop`, the final ones."""
        if self._report is not None:
            return self._report
        self._say("snapshot")
        return self._hear()

    def stop(self) -> Report:
        """Send no more, wait for the answers that are due, and report. Calling it again returns the same report."""
        if self._report is None:
            self._say("stop")
            self._report = self._hear()
            assert self._process is not None
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            self._process.wait(timeout=_PATIENCE)
            self._process.stdout.close()
        return self._report

    def _say(self, line: str) -> None:
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the load has not been started")
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> Report:
        assert self._process is not None
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], _PATIENCE)[0]:
            self._process.kill()
            raise TimeoutError(f"the load process said nothing for {_PATIENCE:.0f} s")
        return Report.read(self._process.stdout.readline())


class _Sender:
    """Sends inside the load process; every request is a task of its own."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._host, self._port, self._rate = order["host"], order["port"], order["rate"]
        self._users, self._fresh, self._timeout = order["users"], order["fresh"], order["timeout"]
        self._mix = [Call(**call) for call in order["mix"]]
        self._random = random.Random(order["seed"])
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter, float]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._keep = order["events"]
        self._sent = self._ok = self._retries = 0
        self._status, self._version, self._latency = Counter[str](), Counter[str](), Counter[int]()
        self._calls = {call.name: Counter[str]() for call in self._mix}
        self._keys: dict[str, list[str]] = {call.name: [] for call in self._mix if call.method != "GET"}
        self._events: list[Event] = []

    async def send(self) -> None:
        """Start requests on schedule until cancelled."""
        begin = time.monotonic()
        calls = self._random.choices
        weights = [call.weight for call in self._mix]
        while True:
            due = begin + self._sent / self._rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            self._sent += 1
            task = asyncio.create_task(self._one(calls(self._mix, weights)[0], due))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        for _, writer, _ in self._idle:
            writer.close()

    def report(self, *, final: bool) -> Report:
        """Count; keys and events only at the end."""
        done = sum(self._status.values())
        return Report(
            sent=self._sent,
            ok=self._ok,
            failed=done - self._ok,
            client_retries=self._retries,
            by_status=dict(self._status),
            by_version=dict(self._version),
            by_call={name: dict(counts) for name, counts in self._calls.items()},
            p50=self._quantile(0.5),
            p95=self._quantile(0.95),
            p99=self._quantile(0.99),
            acknowledged=self._keys if final else {},
            events=self._events if final else [],
        )

    async def _one(self, call: Call, due: float) -> None:
        request = self._request(call)
        fresh = self._random.random() < self._fresh
        version, body = "", b""
        try:
            async with asyncio.timeout(self._timeout):
                code, version, body = await self._exchange(request, call.method, fresh)
            status = str(code)
            self._ok += code in call.expected
        except (OSError, EOFError, ValueError) as error:  # TimeoutError is an OSError, IncompleteReadError an EOFError
            status = type(error).__name__
        milliseconds = (time.monotonic() - due) * 1000
        key = _key(body) if call.method != "GET" and status.startswith("2") else ""
        self._status[status] += 1
        self._calls[call.name][status] += 1
        self._version[version] += 1
        self._latency[int(math.log(max(milliseconds, 0.01) / 0.01) / _RATIO)] += 1
        if key:
            self._keys[call.name].append(key)
        if self._keep:
            start = time.time() - milliseconds / 1000
            self._events.append(Event(start, status, version, call.name, key, round(milliseconds, 3)))

    async def _exchange(self, request: bytes, method: str, fresh: bool) -> tuple[int, str, bytes]:
        kept = None if fresh else self._warm()
        reader, writer = kept or await asyncio.open_connection(self._host, self._port)
        reused, alive, first = kept is not None, False, b""
        try:
            writer.write(request)
            first = await reader.read(1)
            if first:
                code, version, body, alive = await _answer(reader, first, method)
                return code, version, body
        except ConnectionError:
            if first:
                raise
        finally:
            if alive and not fresh:
                self._idle.append((reader, writer, time.monotonic()))
            else:
                writer.close()
        if not reused or method != "GET":
            raise ConnectionResetError("closed before the first byte")
        self._retries += 1
        return await self._exchange(request, method, fresh=True)

    def _warm(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Take the connection that was used last, unless even that one has been idle for too long."""
        if self._idle and time.monotonic() - self._idle[-1][2] < _IDLE:
            reader, writer, _ = self._idle.pop()
            return reader, writer
        for _, writer, _ in self._idle:
            writer.close()
        self._idle.clear()
        return None

    def _request(self, call: Call) -> bytes:
        number = str(self._random.randint(1, call.numbers))
        path, body = call.path.replace("{n}", number), call.body.replace("{n}", number)
        body = body.replace("{key}", uuid.uuid4().hex)  # not from the seed: an earlier load may have had the same
        headers = {"Host": self._host, "x-user-id": f"u{self._random.randrange(self._users)}", **call.headers}
        if body or call.method != "GET":
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body.encode()))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{call.method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body.encode()

    def _quantile(self, q: float) -> float:
        rank, seen = q * sum(self._latency.values()), 0
        for bucket in sorted(self._latency):
            seen += self._latency[bucket]
            if seen >= rank:
                return round(0.01 * math.exp((bucket + 0.5) * _RATIO), 3)
        return math.nan


async def _answer(reader: asyncio.StreamReader, first: bytes, method: str) -> tuple[int, str, bytes, bool]:
    """Read one response: status, x-version, body, and whether the connection may be used again."""
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = head.split("\r\n")
    code = int(lines[0].split(" ", 2)[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    alive = headers.get("connection", "").lower() != "close"
    if method == "HEAD" or code in (204, 304):
        body = b""
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    else:
        body, alive = await reader.read(), False
    return code, headers.get("x-version", ""), body, alive


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _key(body: bytes) -> str:
    """Read the `id` of a written row; empty when the answer has none."""
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    return str(answer["id"]) if isinstance(answer, dict) and "id" in answer else ""


async def _child() -> None:
    """Obey the parent: an order, then `snapshot` and `stop`, one per line; without a parent, end."""
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    sender = _Sender(json.loads(await commands.readline()))
    sending = asyncio.create_task(sender.send())
    while (command := (await commands.readline()).strip()) == b"snapshot":
        print(sender.report(final=False).write(), flush=True)
    sending.cancel()
    if command == b"stop":
        await sender.settle()
        print(sender.report(final=True).write(), flush=True)


def _command() -> None:
    parser = argparse.ArgumentParser(description="Send open-loop HTTP load and count the answers.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--path", default="/", help="what to GET, unless --mix is given")
    parser.add_argument(
        "--mix", type=argparse.FileType(), help='JSON: [{"name": …, "method": …, "path": …, "weight": …}]'
    )
    options = parser.parse_args()
    mix = [Call(**call) for call in json.load(options.mix)] if options.mix else [Call("get", path=options.path)]
    with Load(options.port, options.rate, mix, users=options.users) as load:
        end = time.monotonic() + options.seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(1.0, left))
            now = load.snapshot()
            print(
                f"sent {now.sent}  ok {now.ok}  failed {now.failed}  p95 {now.p95} ms  {now.by_version}",
                file=sys.stderr,
            )
    print(load.stop().write())


if __name__ == "__main__":
    if sys.argv[1:] == ["--child"]:
        asyncio.run(_child())
    else:
        _command()
