"""What is merged into the ticks of another source: Docker's gauges, and KPIs from the service's database."""

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
from adapters.memory.secrets import MemorySecrets
from adapters.polling import Asking, Polling
from adapters.sql_kpi import SqlKpi
from deployments.embedded import base_image
from domain.canary.roster import Roster
from domain.canary.tick import Tick
from domain.errors import Invalid, Unavailable
from domain.release.route import Endpoint, Route
from tests.adapters.shop import DSN, Shop, wait_until
from tests.adapters.story import NEW, OLD, ROSTER, Memory

# Docker's gauges


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


# KPIs by SQL


QUERY = "select version, count(*) from orders group by version"


@pytest.fixture
def orders(shop: Shop) -> Shop:
    shop.execute("create table orders (id serial primary key, version text, at timestamptz default now())")
    return shop


def kpi(shop: Shop, query: str = QUERY) -> SqlKpi:
    words = {"v1": "blue", "v2": "green"}

    class Versions(Roster):
        def arm(self, said: str) -> Any:
            return super().arm(words.get(said, said))

    old, new = (Endpoint(name=f"{n}-0", address=f"10.0.0.{i}", port=8080) for i, n in ((1, "old"), (2, "new")))
    roster = Versions(Route(name="shop-test", port=8080, blue=(old,), green=(new,)), "green")
    return SqlKpi("orders", query, DSN, MemorySecrets({DSN: shop.dsn}), roster)


def order(shop: Shop, version: str, count: int) -> None:
    shop.execute(f"insert into orders (version) select '{version}' from generate_series(1, {count})")


@pytest.mark.real
def test_orders_are_counted_once_in_the_arm_that_took_them(orders: Shop) -> None:
    order(orders, "v1", 50)
    counted = kpi(orders)
    assert counted.news(0).cells == ()
    order(orders, "v1", 3)
    order(orders, "v2", 2)
    order(orders, "v0", 9)
    seen, again = counted.news(0), counted.news(0)
    counted.close()
    assert sorted((c.arm, c.replica, c.requests, c.kpi) for c in seen.cells) == [
        ("candidate", "", 0, {"orders": 2}),
        ("stable", "", 0, {"orders": 3}),
    ]
    assert (seen.missing, again.cells) == ("", ())


@pytest.mark.real
def test_orders_that_are_deleted_are_told_and_take_nothing_back(orders: Shop) -> None:
    order(orders, "v1", 5)
    counted = kpi(orders)
    counted.news(0)
    orders.execute("delete from orders where id <= 2")
    fell = counted.news(0)
    order(orders, "v1", 1)
    rose = counted.news(0)
    counted.close()
    assert (fell.cells, fell.missing) == ((), "orders: the total of v1 fell by 2")
    assert [cell.kpi for cell in rose.cells] == [{"orders": 1}]


@pytest.mark.real
def test_rows_that_name_nobody_on_the_route_are_noticed(orders: Shop) -> None:
    order(orders, "v0", 5)
    counted = kpi(orders)
    assert counted.news(0).missing == "orders: no row names a version, release or slot on the route"
    counted.close()


@pytest.mark.real
@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("delete from orders returning version, 1", "cannot execute DELETE in a read-only transaction"),
        ("commit; delete from orders", "cannot insert multiple commands"),
        ("select version from orders", "rows of"),
        ("select version, at from orders", "rows of"),
        ("select version, 0.5 from orders", "rows of"),
        ("select id::text, 1 from generate_series(1, 1001) id", "rows of"),
        ("select nothing", 'column "nothing" does not exist'),
    ],
)
def test_a_query_that_changes_or_counts_nothing_is_refused(orders: Shop, query: str, problem: str) -> None:
    order(orders, "v1", 1)
    counted = kpi(orders, query)
    with pytest.raises(Invalid, match=problem):
        counted.news(0)
    counted.close()
    assert orders.execute("select count(*) from orders") == [(1,)]


@pytest.mark.real
def test_a_query_that_takes_too_long_is_cut_off_and_asked_again(orders: Shop) -> None:
    counted = kpi(
        orders,
        "select 'v1', count(*) from orders, pg_sleep(case when (select count(*) from orders) = 0 then 60 else 0 end)",
    )
    with pytest.raises(Unavailable, match="no answer within 2 s"):
        counted.news(0)
    order(orders, "v1", 1)
    assert counted.news(0).missing == ""
    counted.close()


@pytest.mark.real
def test_a_connection_that_was_cut_is_made_again(orders: Shop) -> None:
    counted = kpi(orders)
    counted.news(0)
    orders.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'interlock-kpi'")
    with pytest.raises(Unavailable, match="does not answer"):
        counted.news(0)
    order(orders, "v2", 2)
    assert [cell.kpi for cell in counted.news(0).cells] == [{"orders": 2}]
    counted.close()
