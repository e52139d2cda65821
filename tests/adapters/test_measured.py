"""What a service declares is what is listened to: another source in the log's place, or something beside it."""

from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from adapters.docker_engine import Engine
from adapters.measured import Measured
from adapters.memory.router import MemoryRouter, MemorySamples
from adapters.memory.secrets import MemorySecrets
from adapters.memory.workload import MemoryWorkload
from domain.canary.tick import Tick
from domain.errors import Unavailable
from domain.ports import Samples
from domain.release.service import Service
from tests.adapters.story import NEW, OLD, ROUTE, Feed, Memory, cell


def shop(measure: dict[str, Any] | None) -> Measured:
    places = {"test": {"port": 8080, "measure": measure}}
    said = {"name": "shop", "owner": "payments", "source": {"repository": "shop"}, "environments": places}
    engine = cast(Engine, SimpleNamespace(api=SimpleNamespace(stats=lambda *_, **__: iter(()))))
    return Measured(Service.model_validate(said), MemoryWorkload(), engine, MemorySecrets({}))


def router(requests: int) -> AbstractContextManager[MemorySamples]:
    """A log that shows so many requests of either arm every second."""
    twin = MemoryRouter(
        lambda _route, _slot, second: Tick(second=second, cells=(cell(NEW, requests), cell(OLD, requests)))
    )
    twin.apply(ROUTE, token=1)
    return twin.samples(ROUTE, "green")


def listen(measured: Measured, log: AbstractContextManager[Samples]) -> AbstractContextManager[Samples]:
    return measured(ROUTE, "green", log)


def test_without_a_declaration_it_is_the_log_itself() -> None:
    for measure in (None, {}):
        log = Memory().listen()
        assert listen(shop(measure), log) is log


def test_a_declared_source_replaces_the_log(feed: Feed) -> None:
    feed.say({})
    with listen(shop({"traffic": {"kind": "ticks", "url": feed.server.url}}), router(0)) as samples:
        feed.say({NEW: (20, 3)})
        tick = samples.tick()
    assert [(c.arm, c.replica, c.requests, c.bad) for c in tick.cells] == [(*NEW, 20, 3)]
    assert tick.missing == ""


def test_the_log_stays_a_witness(feed: Feed) -> None:
    feed.say({})
    measure = {"traffic": {"kind": "ticks", "url": feed.server.url, "silence": "1ms"}}
    with listen(shop(measure), router(100)) as samples:
        ticks = [samples.tick() for _ in range(4)]
    assert "the source counts 0 candidate requests, the router 200" in ticks[-1].missing
    assert all(tick.total("candidate") == (0, 0) for tick in ticks)


def test_gauges_go_beside_the_log() -> None:
    with listen(shop({"gauges": "docker"}), router(10)) as samples:
        assert samples.tick().total("stable") == (10, 0)


def test_the_log_is_let_go_when_the_source_cannot_be_listened_to(feed: Feed) -> None:
    feed.silence(True)
    memory = Memory()
    with (
        pytest.raises(Unavailable),
        listen(shop({"traffic": {"kind": "ticks", "url": feed.server.url}}), memory.listen()),
    ):
        pass
    with memory.listen() as samples:
        assert samples.tick().cells == ()
