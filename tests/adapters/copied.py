"""A shop with people in it, the policy of its copy, and the place where that goes."""

from collections.abc import Callable
from typing import Any

from adapters import postgres_copy as copies
from adapters.postgres_end import End
from adapters.postgres_scratch import scratches
from domain.data.policy import Policy
from domain.data.stamp import Stamp
from tests.adapters.shop import Shop

KEY = "0123456789abcdef0123456789abcdef"
SCHEMA = """
create type state as enum ('open', 'paid');
create domain address as varchar(60) check (value like '%@%');
create table customers (id serial primary key, email address not null unique, name varchar(40), phone text,
  card bigint, born date, referrer integer references customers, slug text generated always as (lower(name)) stored);
create table products (id integer primary key, sku text unique, states state[]);
create table orders (id bigint primary key, customer_id integer not null references customers,
  email address references customers (email), state state not null, note text, placed_at timestamptz);
create table items (order_id bigint references orders, line integer, product_id integer not null references products,
  primary key (order_id, line)) partition by hash (order_id);
create table items_0 partition of items for values with (modulus 2, remainder 0);
create table items_1 partition of items for values with (modulus 2, remainder 1);
create table coupons (id bigint generated always as identity primary key, code varchar(12) unique not null,
  customer_id integer not null references customers, state state, worth numeric(4,2) check (worth > 0));
create materialized view busy as select customer_id, count(*) from orders group by 1;
create index on orders (customer_id);
insert into customers (email, name, phone, card, born, referrer)
  select 'person' || n || '@mail.real', 'Real Person ' || n, '+49 30 5550' || n, 4111111111110000 + n,
    date '1980-01-01' + n, nullif(n / 2, 0) from generate_series(1, 40) n;
insert into products select n, 'sku-' || n, array['open', 'paid']::state[] from generate_series(1, 20) n;
insert into orders select n, 1 + n % 40, 'person' || 1 + n % 40 || '@mail.real', 'paid', 'as usual', now()
  from generate_series(1, 200) n;
insert into items select 1 + n % 200, n, 1 + n % 10 from generate_series(1, 600) n;
"""
POLICY: dict[str, Any] = {
    "key": "secret://env/MASKING_KEY",
    "tables": {
        "customers": {
            "columns": {
                "id": "keep", "email": "email", "name": "name", "phone": "phone", "card": "card",
                "born": {"kind": "shift", "by": "id"}, "referrer": "keep",
            },
        },
        "products": {"columns": {"id": "keep", "sku": "keep", "states": "keep"}},
        "orders": {
            "columns": {"id": "keep", "customer_id": "keep", "email": "email", "state": "keep", "note": "keep",
                        "placed_at": {"kind": "truncate", "to": "month"}},
        },
        "items": {"columns": {"order_id": "keep", "line": "keep", "product_id": "keep"}},
        "coupons": {"synthetic": 30, "columns": {"code": {"kind": "text", "bits": 48}}},
    },
}  # fmt: skip


class Copied:
    """A shop with people in it, and the place of its copy."""

    def __init__(self, server: str) -> None:
        self.shop = Shop(server)
        self.shop.execute(SCHEMA)
        self.source = End(self.shop.dsn)
        self.target = self.source.beside(f"{self.shop.name}_copy")

    def refresh(self, policy: dict[str, Any] | None = None, say: Callable[[str], None] = print) -> Stamp:
        return copies.refresh(self.source, self.target, Policy.model_validate(policy or POLICY), KEY, say)

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return self._on(self.target, statement)

    def beside(self, statement: str) -> list[tuple[Any, ...]]:
        return self._on(self.target.beside("postgres"), statement)

    def scratches(self) -> list[tuple[str, float, bool]]:
        with self.target.beside("postgres").link() as link:
            return scratches(link)

    @staticmethod
    def _on(end: End, statement: str) -> list[tuple[Any, ...]]:
        with end.link() as link:
            cursor = link.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def changed(**tables: dict[str, Any]) -> dict[str, Any]:
    return POLICY | {"tables": POLICY["tables"] | tables}


def columns(table: str, **rules: Any) -> dict[str, Any]:
    return {"columns": POLICY["tables"][table]["columns"] | rules}
