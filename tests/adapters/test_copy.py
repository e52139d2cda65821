"""A copy holds nobody's data, keeps what joins and what is unique, and nothing is copied that has no rule."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from adapters import postgres_copy as copies
from adapters.memory.secrets import MemorySecrets
from adapters.postgres import Postgres
from adapters.postgres_copyist import PostgresCopyist
from config.settings import HOUSE
from domain.data.copy import Copy
from domain.data.policy import Policy
from domain.errors import Invalid, Refused, Rejected
from tests.adapters.copied import KEY, POLICY, Copied, changed, columns
from tests.adapters.shop import DSN, ORDERS, migrate

pytestmark = pytest.mark.real


def test_what_is_private_is_masked_and_what_joins_still_joins(copied: Copied) -> None:
    stamp = copied.refresh()
    assert stamp.tables["public.customers"] == 40
    assert stamp.tables["public.items"] == 600
    assert copied.execute("select count(distinct email), count(distinct card) from customers") == [(40, 40)]
    joined = "select count(*) from orders o join customers c on (o.customer_id, o.email) = (c.id, c.email)"
    assert copied.execute(joined) == [(200,)]
    dump = str(copied.execute("select c::text from customers c"))
    for word in ("mail.real", "Person", "+49", "4111111111"):
        assert word not in dump
    assert copied.execute("select count(*) from customers where slug = lower(name)") == [(40,)]


def test_a_declared_copy_looks_its_ends_and_its_key_up_when_it_is_taken(copied: Copied) -> None:
    into = copied.shop.dsn.replace(copied.shop.name, copied.target.name)
    declared = {"name": "test", "from": "secret://env/FROM", "into": "secret://env/INTO", "policy": "masking/shop.yaml"}
    known: dict[str, str] = {}
    copyist = PostgresCopyist(Copy.model_validate(declared), Policy.model_validate(POLICY), MemorySecrets(known))
    known |= {"secret://env/FROM": copied.shop.dsn, "secret://env/INTO": into, "secret://env/MASKING_KEY": KEY}
    with pytest.raises(Invalid):
        copyist.stamp()
    stamp = copyist.refresh()
    assert (copyist.stamp(), stamp.tables["public.customers"]) == (stamp, 40)


def test_the_copy_has_the_schema_of_its_source_and_says_what_it_is(copied: Copied) -> None:
    migrate(copied.shop.database, ORDERS.model_copy(update={"up": "create table extra (id integer)"}))
    before = copied.shop.database.fingerprint()
    copied.refresh(changed(extra={"rows": "none"}))
    stamp = copies.status(copied.target)
    assert stamp.policy == Policy.model_validate(changed(extra={"rows": "none"})).hash
    assert stamp.source == str(copied.source)
    assert not any(secret in stamp.model_dump_json() for secret in (KEY, "p@ss"))
    there = Postgres(DSN, MemorySecrets({DSN: copied.shop.dsn.replace(copied.shop.name, copied.target.name)}))
    assert there.fingerprint() == before
    assert [row.number for row in there.applied()] == [1]


def test_sequences_go_on_and_views_are_filled(copied: Copied) -> None:
    copied.refresh()
    copied.execute("insert into customers (email, name) values ('new@example.com', 'New')")
    assert copied.execute("select max(id) from customers") == [(41,)]
    assert copied.execute("select count(*) from busy") == [(40,)]


def test_synthetic_rows_fit_the_schema_and_are_the_same_again(copied: Copied) -> None:
    copied.refresh()
    query = "select string_agg(c::text, ';' order by id) from coupons c"  # also who refers to whom
    first = copied.execute(query)
    assert copied.execute("select count(*), count(distinct code) from coupons") == [(30, 30)]
    copied.refresh()
    assert copied.execute(query) == first


def test_an_unclassified_column_stops_everything_and_all_are_named(copied: Copied) -> None:
    copied.shop.execute("alter table orders add gift_for text, add iban text; create table secret (a integer)")
    with pytest.raises(Refused) as refused:
        copied.refresh()
    for said in ("public.orders.gift_for: not classified", "public.orders.iban: not", "public.secret: not classified"):
        assert said in refused.value.message
    assert copied.beside(f"select from pg_database where datname = '{copied.target.name}'") == []
    assert copied.scratches() == []


def test_what_only_the_server_can_read_is_refused_too(copied: Copied) -> None:
    wrong = changed(
        orders=columns("orders", state={"kind": "constant", "value": "lost"}) | {"where": "ids = 1; drop table items"}
    )
    with pytest.raises(Refused) as refused:
        copied.refresh(wrong)
    assert "public.orders.state: constant: invalid input value for enum" in refused.value.message
    assert "public.orders: where: " in refused.value.message


def test_a_subset_is_closed_over_references_and_holds_nothing_else(copied: Copied) -> None:
    copied.refresh(
        changed(
            customers=columns("customers") | {"where": "id in (9, 12)"},
            orders=columns("orders") | {"follow": ["customers"]},
            items=columns("items") | {"follow": ["orders"]},
            products=columns("products") | {"rows": "needed"},
        )
    )
    # 9 → 4 → 2 → 1 and 12 → 6 → 3: referrers come along, and bring no orders of their own.
    assert copied.execute("select array_agg(id order by id) from customers") == [([1, 2, 3, 4, 6, 9, 12],)]
    assert copied.execute("select array_agg(distinct customer_id) from orders") == [([9, 12],)]
    wanted = copied.shop.execute(
        "select count(*), count(distinct product_id) from items join orders o on o.id = order_id"
        " where customer_id in (9, 12)"
    )
    assert copied.execute("select count(*), (select count(*) from products) from items") == wanted


def test_a_planted_value_does_not_survive_and_is_not_told(copied: Copied) -> None:
    plants = ("call PERSON7@mail.real", "card 4111-1111-1111-0007 declined", "Real Person 7 rang")
    for number, planted in enumerate(plants, 1):
        copied.shop.execute(f"update orders set note = '{planted}' where id = {number}")
    with pytest.raises(Rejected) as rejected:
        copied.refresh()
    for origin in ("email", "card", "name"):
        assert f"public.orders.note holds values of public.customers.{origin}, " in rejected.value.message
    assert "erson" not in str(rejected.value)
    assert "4111" not in str(rejected.value)
    assert copied.beside(f"select from pg_database where datname = '{copied.target.name}'") == []
    accepted = POLICY | {"scan": {"accept": {"orders.note": "a test"}}}
    assert copied.refresh(accepted).searched > 100
    searched, found = copies.search(copied.source, copied.target, Policy.model_validate(POLICY))
    assert (searched > 100, {finding.column for finding in found}) == (True, {"public.orders.note"})
    copied.refresh(changed(orders=columns("orders", note="null")))
    assert copies.search(copied.source, copied.target, Policy.model_validate(POLICY))[1] == ()


def test_references_are_proven_by_the_server(copied: Copied) -> None:
    with psycopg.connect(copied.shop.superuser, dbname=copied.shop.name, autocommit=True) as link:
        link.execute("set session_replication_role = replica")
        link.execute("update orders set customer_id = 4000 where id = 1")  # behind the constraint's back
    with pytest.raises(Rejected, match="orders_customer_id_fkey") as rejected:
        copied.refresh()
    assert "4000" not in str(rejected.value)
    assert copied.scratches() == []


def test_the_command_says_it_all_as_json(copied: Copied, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    env = {**os.environ, "MASKING_KEY": KEY, "FROM": copied.shop.dsn,
           "INTO": copied.shop.dsn.replace(copied.shop.name, copied.target.name)}  # fmt: skip

    def told(*words: str) -> tuple[int, Any]:
        command = [sys.executable, "-m", "cli.app", "data", *words, "--json"]
        done = subprocess.run(command, cwd=HOUSE, env=env, capture_output=True, text=True, check=False)
        assert KEY not in done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr

    policy = ("--policy", str(tmp_path / "policy.yaml"))
    assert told("check", *policy, "--database", "secret://env/FROM")[1]["columns"] == 19
    code, stamp = told("refresh", *policy, "--from", "secret://env/FROM", "--into", "secret://env/INTO")
    assert (code, stamp["tables"]["public.orders"]) == (0, 200)
    assert told("scan", *policy, "--from", "secret://env/FROM", "--database", "secret://env/INTO")[1]["found"] == []
    assert told("status", "--database", "secret://env/INTO")[1]["policy"] == stamp["policy"]
    assert told("status", "--database", "secret://env/INTO", "--max-age", "0s")[0] == 1
    code, said = told("status", "--database", "secret://env/FROM")
    assert (code, "no copy that Interlock made" in said) == (2, True)
