"""What judging costs at 100,000 requests a second, a look each second: the part of a core, and the memory of a day.

Looks are drawn by `world.py`, in the buckets of our own scale; as lines they have Prometheus' usual eleven. Log lines
come by UDP, in the format that `adapters/haproxy_config.py` asks HAProxy for, and are read by the adapter itself, whose
thread and ticks are counted, too. Time is this process's own, of a core; where others use the machine as well it comes
out too long.
"""

import multiprocessing
import socket
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import orjson

from adapters.haproxy_config import LOG_PORT_OFFSET, backend, log_port, server
from adapters.haproxy_log import LogStream
from bench.canary.experiments import Plan, Row
from bench.canary.scenario import ENVIRONMENTS, Scenario
from bench.canary.ticks import tick
from bench.canary.world import HOUR, World
from cli.judge import Door
from domain.canary.criteria import Criteria, Gauge, Kpi, Objective
from domain.canary.ramp import Course, Ramp, plain
from domain.canary.tick import BOUNDARIES, Cell, Tick
from domain.release.route import Endpoint, Route, Slot

RATE = 100_000  # requests a second
TOGETHER = 120  # looks, where they are judged in blocks
_COURSE = Course(  # no share is ever left, so that all that may grow has a day for it
    steps=(1_000, 10_000),
    at_most=1e9,
    criteria=Criteria(
        harm_budget=1e-6, kpis={"orders": Kpi()}, gauges={"cpu": Gauge()}, objective=Objective(success=99.0)
    ),
)
_UPPER = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)  # ms
_BURST, _PAUSE = 1_000, 0.1  # lines, seconds


def cost(plan: Plan) -> Iterator[list[Row]]:
    """Measure as many looks as the horizon has; log lines for a minute at most; memory at hours of a simulated day."""
    looks, lines = plan.horizon, min(60, plan.horizon // 60)
    yield [
        _row("judge, a look at a time", "looks", looks, _judged(plan, looks, 1)),
        _row(f"judge, {TOGETHER} looks at a time", "looks", looks, _judged(plan, looks, TOGETHER)),
        _row("interlock judge, a line at a time", "looks", looks, _answered(plan, looks)),
        _logged(plan, lines),
    ]
    yield list(_day(plan))


def _row(what: str, unit: str, count: int, seconds: float, samples: float = RATE) -> Row:
    """Tell what one costs; each stands for so many samples, of which 100,000 come in a second."""
    part = seconds / count * RATE / samples
    return {
        "judge": what,
        "measured": f"{count} {unit}",
        "each": f"{seconds / count * 1e6:,.1f} µs",
        f"of a core at {RATE:,}/s": f"{part:.2%}",
    }


def _looks(plan: Plan) -> Iterator[Tick]:
    candidates, stables = plan.hosts
    scenario = Scenario(
        rps=RATE, errors=0.001, candidates=candidates, stables=stables,
        environment=ENVIRONMENTS["independent"], look=1,
    )  # fmt: skip
    random = np.random.default_rng(plan.seed)
    for batch in World(scenario, plan.seed, 1, histograms=True).release(plan.horizon):
        drawn = tick(batch, 0)
        levels = random.uniform(0.3, 0.5, len(drawn.cells)).tolist()
        more = ({"gauges": {"cpu": level}, "kpi": {"orders": 100}} for level in levels)
        cells = (cell.model_copy(update=it) for cell, it in zip(drawn.cells, more, strict=True))
        yield drawn.model_copy(update={"cells": tuple(cells)})


def _judged(plan: Plan, count: int, together: int) -> float:
    """Judge looks; the CPU seconds of that alone."""
    ramp, looks, spent = Ramp(_COURSE), islice(_looks(plan), count), 0.0
    while some := list(islice(looks, together)):
        begun = time.process_time()
        ramp.looks(some)
        spent += time.process_time() - begun
    return spent


def _answered(plan: Plan, count: int) -> float:
    """Read, judge and answer looks as lines, each by itself."""
    ramp, door, spent = Ramp(_COURSE), Door(fatal=True), 0.0
    for line in map(_line, islice(_looks(plan), count)):
        begun = time.process_time()
        [(t, look)] = door.admit([line])
        orjson.dumps(plain(t, ramp.look(look)))
        spent += time.process_time() - begun
    return spent


def _line(look: Tick) -> bytes:
    arms: dict[str, dict[str, object]] = {"canary": {}, "baseline": {}}
    for cell in look.cells:
        counts = {"requests": cell.requests, "bad": cell.bad, "latency_ms": _pairs(cell)}
        arms["canary" if cell.arm == "candidate" else "baseline"][cell.replica] = {
            **counts, "gauges": cell.gauges, "kpi": cell.kpi
        }  # fmt: skip
    return orjson.dumps({"t": look.second, "arms": arms})


def _pairs(cell: Cell) -> list[tuple[int | None, int]]:
    counts = np.add.reduceat(cell.latency(), [0, *np.searchsorted(BOUNDARIES, np.array(_UPPER) * 1000)])
    return list(zip((*_UPPER, None), counts.tolist(), strict=True))


def _logged(plan: Plan, seconds: int) -> Row:
    """Let the adapter read a log for so many seconds, as fast as lines come without one being lost."""
    sides = {
        slot: tuple(Endpoint(name=f"{slot}-{n}", address="127.0.0.1", port=8000 + n) for n in range(hosts))
        for slot, hosts in zip(("green", "blue"), plan.hosts, strict=True)
    }
    route = Route(name="shop-bench", port=_port(), **sides)
    sender = multiprocessing.get_context("spawn").Process(target=_send, args=(route, seconds))
    with LogStream(route, "green") as stream:
        sender.start()
        while not sum(stream.tick().total("stable")):  # the sender is starting
            pass
        begun, told = time.process_time(), [stream.tick() for _ in range(seconds)]
        spent = time.process_time() - begun
    sender.join()
    lines = sum(cell.requests + cell.repeated for it in told for cell in it.cells)
    return _row("HAProxy's log, line by line", "lines", lines, spent, samples=1)


def _send(route: Route, seconds: int) -> None:
    """Write lines as HAProxy does, for some seconds longer than they are read."""
    random, target = np.random.default_rng(1), ("127.0.0.1", log_port(route))
    slots: tuple[Slot, Slot] = ("green", "blue")
    ends = [(backend(route.name, slot), server(end)) for slot in slots for end in route.endpoints(slot)]
    lines = [
        f"{' '.join(ends[host])} {503 if failed else 200} {latency:.0f} GET -- {user}".encode()
        for host, failed, latency, user in zip(
            random.integers(0, len(ends), _BURST),
            random.random(_BURST) < 0.001,
            random.lognormal(np.log(20_000), 0.8, _BURST),
            random.integers(0, 2**31, _BURST),
            strict=True,
        )
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        due = time.monotonic()
        for _ in range(round((seconds + 5) / _PAUSE)):
            for line in lines:
                out.sendto(line, target)
            due += _PAUSE
            time.sleep(max(0.0, due - time.monotonic()))


def _port() -> int:
    """Choose a route's port whose log port nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port - LOG_PORT_OFFSET


def _day(plan: Plan) -> Iterator[Row]:
    """Judge a day in blocks, the same few minutes again and again; tell the process's memory."""
    ramp, again = Ramp(_COURSE), cycle(list(islice(_looks(plan), 2 * TOGETHER)))
    begun = time.process_time()
    for hour in range(1, 25):
        for start in range((hour - 1) * HOUR, hour * HOUR, TOGETHER):
            ramp.looks([it.model_copy(update={"second": start + n}) for n, it in enumerate(islice(again, TOGETHER))])
        if hour in (1, 2, 6, 12, 18, 24):
            spent = time.process_time() - begun
            yield {"judge": f"after hour {hour}", "resident": f"{_resident():.1f} MB", "CPU so far": f"{spent:.1f} s"}


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6
