"""KPIs from the service's own PostgreSQL: counted once, in the arm that a row names, and nothing changed."""

import pytest

from adapters.memory.secrets import MemorySecrets
from adapters.sql_kpi import SqlKpi
from domain.canary.roster import Roster
from domain.errors import Invalid, Unavailable
from domain.release.artifact import Replica
from domain.release.route import Endpoint, Route
from tests.adapters.shop import DSN, Shop

QUERY = "select version, count(*) from orders group by version"


@pytest.fixture
def orders(shop: Shop) -> Shop:
    shop.execute("create table orders (id serial primary key, version text, at timestamptz default now())")
    return shop


def kpi(shop: Shop, query: str = QUERY) -> SqlKpi:
    """Count with v1 serving in blue and v2, the candidate, in green."""
    places = {"old-0": ("blue", "v1"), "new-0": ("green", "v2")}
    old, new = (Endpoint(name=name, address=f"10.0.0.{i}", port=8080) for i, name in enumerate(places))
    running = [
        Replica.model_validate(
            {"id": name, "name": name, "address": "", "port": 8080, "image": f"sha256:{'0' * 64}", "service": "shop"}
            | {"environment": "test", "release": f"r-{version}", "version": version, "slot": slot, "token": 1}
        )
        for name, (slot, version) in places.items()
    ]
    roster = Roster(Route(name="shop-test", port=8080, blue=(old,), green=(new,)), "green", running)
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
