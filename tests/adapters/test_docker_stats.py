"""What goes beside another source: merged into its ticks, and Docker's gauges among it."""

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from docker import APIClient

from adapters.docker_engine import Engine
from adapters.docker_stats import DockerStats, levels
from adapters.memory.clock import MemoryClock
from adapters.polling import Asking, Polling
from deployments.embedded import base_image
from domain.canary.roster import Roster
from domain.canary.tick import Tick
from domain.errors import Unavailable
from domain.release.route import Endpoint, Route
from tests.adapters.shop import wait_until
from tests.adapters.story import NEW, OLD, ROSTER, Memory


def message(second: int, cpu: float, memory: int = 0) -> dict[str, Any]:
    return {
        "read": f"2026-11-21T18:55:{second:02}.123456789Z",
        "cpu_stats": {"cpu_usage": {"total_usage": int(cpu * 1e9)}},
        "memory_stats": {"usage": memory, "stats": {"inactive_file": 1_000}} if memory else {},
    }


def test_cpu_is_the_time_used_over_the_time_passed_and_memory_leaves_the_cache_out() -> None:
    assert levels(message(10, 7.0, 5_000), message(12, 8.0, 6_000)) == {"cpu": 0.5, "memory": 5_000.0}


def test_a_first_message_has_no_cpu_and_neither_has_one_after_a_restart() -> None:
    assert levels({}, message(10, 7.0, 5_000)) == {"memory": 4_000.0}
    assert levels(message(10, 7.0), message(11, 0.1)) == {}
    assert levels(message(10, 7.0), {"read": "0001-01-01T00:00:00Z", "cpu_stats": {}, "memory_stats": {}}) == {}


class Streams:
    """An engine that sends two messages for each container it has, and then none until the end."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.over = threading.Event()
        self.api = SimpleNamespace(stats=self._stats)

    def _stats(self, name: str, **_: Any) -> Iterator[dict[str, Any]]:
        if name in self.names:
            yield message(10, 7.0, 5_000)
            yield message(11, 7.25, 6_000)
        self.over.wait(5)


def test_gauges_are_merged_into_the_ticks_of_another_source() -> None:
    streams, memory = Streams("old-0", "new-0"), Memory()
    stats = DockerStats(cast(Engine, streams), ROSTER)
    with Polling(Asking(stats), samples=memory.listen()) as samples:
        wait_until(lambda: len(stats.news(0).cells) == 2 and all("cpu" in c.gauges for c in stats.news(0).cells))
        memory.say({OLD: (90, 1)})
        tick = samples.tick()
        streams.over.set()
    assert [(c.arm, c.replica, c.requests, c.gauges) for c in tick.cells] == [
        (*NEW, 0, {"memory": 5_000.0, "cpu": 0.25}),
        (*OLD, 90, {"memory": 5_000.0, "cpu": 0.25}),
    ]
    assert tick.missing == ""


def test_a_replica_without_statistics_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.docker_stats._STALE", 0.0)
    streams = Streams("old-0")
    stats = DockerStats(cast(Engine, streams), ROSTER)
    stats.news(0)
    time.sleep(0.01)
    said = stats.news(0).missing
    streams.over.set()
    stats.close()
    assert "no statistics of new-0 for 0 s" in said


class Moody:
    """A product that answers at every other question, beginning with the first."""

    def __init__(self) -> None:
        self.asked = 0

    def news(self, now: float) -> Tick:
        self.asked += 1
        if self.asked % 2 == 0:
            raise Unavailable("in a mood")
        return Tick(second=0)

    def close(self) -> None:
        """Nothing is held."""


def test_a_failure_is_told_every_second_until_there_is_an_answer() -> None:
    with Polling(Asking(Moody(), every=2), clock=MemoryClock()) as samples:
        assert [samples.tick().missing for _ in range(6)] == ["", "in a mood", "in a mood", "", "", "in a mood"]


@pytest.mark.real
def test_docker_itself_tells_who_is_busy() -> None:
    """One container that computes, one that sleeps."""
    api = APIClient(version="auto")
    image = base_image.ensure()
    names = {"old-0": f"il-idle-{uuid4().hex[:8]}", "new-0": f"il-busy-{uuid4().hex[:8]}"}
    old, new = (Endpoint(name=name, address=f"10.0.0.{i}", port=1) for i, name in enumerate(names.values()))
    roster = Roster(Route(name="shop-test", port=8080, blue=(old,), green=(new,)), "green")
    made = []
    try:
        for name, code in zip(names.values(), ("import time; time.sleep(60)", "while True: pass"), strict=True):
            config = api.create_host_config(nano_cpus=300_000_000)
            row = api.create_container(image, ["python3", "-c", code], name=name, host_config=config)
            made.append(row["Id"])
            api.start(row["Id"])
        with Polling(Asking(DockerStats(Engine(None), roster))) as samples:
            for _ in range(15):
                cells = {cell.replica: cell.gauges for cell in samples.tick().cells}
                if len(cells) == 2 and all("cpu" in gauges or name == old.name for name, gauges in cells.items()):
                    break
    finally:
        for container in made:
            api.remove_container(container, force=True)
    busy, idle = cells[new.name], cells[old.name]
    assert 0.05 < busy["cpu"] < 0.6
    assert idle.get("cpu", 0.0) < busy["cpu"] / 2
    assert busy["memory"] > 1_000_000
