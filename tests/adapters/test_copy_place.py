"""The last copy stays until the new one is whole, whatever fails or dies; and nothing but a copy is replaced."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import yaml

from adapters import postgres_copy as copies
from adapters import postgres_place
from adapters.postgres_end import End
from adapters.postgres_scratch import drop
from config.settings import HOUSE
from domain.data.policy import Policy
from domain.errors import Conflict, Invalid, Refused, Rejected, Unavailable
from tests.adapters.copied import KEY, POLICY, Copied, changed, columns
from tests.adapters.shop import Shop, wait_until

pytestmark = pytest.mark.real

STAGES = ("schema", "subset", "rows", "rows of public.orders", "indexes", "scan", "swap", "swapped")


def test_a_refresh_that_fails_leaves_the_old_copy(copied: Copied) -> None:
    old = copied.refresh()
    copied.shop.execute("alter table orders add constraint priceless check (note <> 'gone')")
    with pytest.raises(Rejected, match="orders: priceless: new row for relation"):
        copied.refresh(changed(orders=columns("orders", note={"kind": "constant", "value": "gone"})))
    assert copies.status(copied.target) == old
    assert copied.execute("select count(*), count(distinct note) from orders") == [(200, 1)]
    assert copied.scratches() == []


def test_a_copy_can_be_replaced_by_one_of_another_schema(copied: Copied) -> None:
    copied.refresh()
    copied.shop.execute("alter table orders drop column note")
    rules = {name: rule for name, rule in columns("orders")["columns"].items() if name != "note"}
    copied.refresh(changed(orders={"columns": rules}))
    with pytest.raises(Invalid, match="note"):
        copied.execute("select note from orders")


def test_two_refreshes_of_one_place_do_not_meet(copied: Copied) -> None:
    def meanwhile(stage: str) -> None:
        if stage == "scan":
            with pytest.raises(Conflict, match="another refresh is under way"):
                copied.refresh()
            stages.append(stage)

    stages: list[str] = []
    copied.refresh(say=meanwhile)
    assert stages == ["scan"]


def test_who_may_connect_stays_the_same(copied: Copied) -> None:
    query = f"select has_database_privilege('poor', '{copied.target.name}', 'connect')"
    copied.refresh()
    assert copied.beside(query) == [(False,)]
    copied.beside(f'grant connect on database "{copied.target.name}" to poor')
    copied.refresh()
    assert copied.beside(query) == [(True,)]


def test_what_is_no_copy_is_not_replaced(copied: Copied) -> None:
    with pytest.raises(Refused, match="is the source itself"):
        copies.refresh(copied.source, copied.source, Policy.model_validate(POLICY), KEY)
    other = Shop(copied.shop.superuser)
    other.execute("create table precious (id integer)")
    with pytest.raises(Refused, match=r"no copy that Interlock made: it holds public\.precious"):
        copies.refresh(copied.source, End(other.dsn), Policy.model_validate(POLICY), KEY)
    with pytest.raises(Invalid, match="no copy that Interlock made"):
        copies.status(End(other.dsn))


def test_the_swap_ends_sessions_and_keeps_the_fence(copied: Copied) -> None:
    copied.refresh()
    copied.execute("create table interlock_fence (one boolean primary key default true, token bigint not null)")
    copied.execute("insert into interlock_fence (token) values (17)")
    with copied.target.link() as busy:
        copied.refresh()
        with pytest.raises(psycopg.OperationalError):
            busy.cursor().execute("select 1")
        busy.close()
    assert copied.execute("select token from interlock_fence") == [(17,)]


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_any_stage_there_is_a_whole_copy_and_what_is_left_can_be_swept(
    copied: Copied, tmp_path: Path, stage: str
) -> None:
    copied.refresh()
    old = copies.status(copied.target)
    time.sleep(1)  # the stamp counts seconds
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    command = [sys.executable, "-m", "cli.app", "data", "refresh", "--policy", str(tmp_path / "policy.yaml")]
    dsn = copied.shop.dsn
    env = {"MASKING_KEY": KEY, "HERE": dsn, "INTERLOCK_DATA_FROM": "secret://env/HERE",
           "INTERLOCK_DATA_INTO": dsn.replace(copied.shop.name, copied.target.name)}  # fmt: skip
    child = subprocess.Popen(command, cwd=HOUSE, env={**os.environ, **env}, stderr=subprocess.PIPE, text=True)
    assert child.stderr
    for line in child.stderr:
        assert "error" not in line
        if line.startswith(stage):
            break
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stderr.close()
    stamp = copies.status(copied.target)
    if stage != "swap":  # that one may have happened by now, or not
        assert (stamp == old) == (stage != "swapped")
    assert stamp.tables == old.tables
    assert copied.execute("select count(*) from items join orders on orders.id = order_id") == [(600,)]
    left = copied.beside(
        "select datname from pg_database where datname not in ('postgres', 'template0', 'template1')"
        " and datname not similar to 'shop_[0-9a-f]{8}(_copy)?'"
    )
    wait_until(lambda: not any(used for _, _, used in copied.scratches()))
    assert {name for (name,) in left} == {name for name, _, _ in copied.scratches()}
    assert len(left) == 1 or stage == "swapped"  # that one may be gone by now
    with copied.target.beside("postgres").link() as link:
        assert all(drop(link, name) for (name,) in left)
    copied.refresh()
    assert copied.scratches() == []


def test_a_swap_that_fails_half_way_is_none(copied: Copied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_place, "_TRIES", 1)  # each takes the server five seconds
    old = copied.refresh()
    with ExitStack() as held:

        def sit_down(stage: str) -> None:
            if stage == "swap":  # in the new database: the old one can be renamed then, and the new one cannot
                [(fresh, _, _)] = copied.scratches()
                held.enter_context(copied.target.beside(fresh).link())

        with pytest.raises(Unavailable, match="come back faster than they are ended"):
            copied.refresh(say=sit_down)
    assert copies.status(copied.target) == old
    assert copied.scratches() == []
