"""The embedded stack starts as one, says no before it starts anything, and leaves nothing behind."""

import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.docker_engine import Engine
from config.load import catalog, load
from config.settings import HOUSE
from deployments.embedded import base_image, mark, people
from deployments.stack import Stack
from domain.errors import Conflict, Invalid

NAP = "import time; time.sleep(60)"
PARENT = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {NAP!r}]); time.sleep(60)"


@pytest.fixture
def idle(tmp_path: Path, new_stack: Callable[[Path], Stack]) -> Stack:
    return new_stack(tmp_path / "stack")


def listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def test_a_taken_port_of_a_service_stops_up_before_anything_starts(idle: Stack) -> None:
    settings = idle.prepare()
    port = catalog(settings).service("shop").environments["production"].port
    with listening(port), pytest.raises(Invalid) as refused:
        idle.up()
    assert f"services/shop.yaml: environments.production.port: port {port} is taken" in refused.value.message
    assert not any(idle.status().values())
    assert not (idle.folder / "postgres").exists()


def test_a_product_gives_way_to_whoever_has_its_port_and_keeps_the_new_one(idle: Stack) -> None:
    usual = idle._usual["registry"]
    with listening(usual):
        chosen = idle.prepare().registry.url
    assert chosen != f"http://127.0.0.1:{usual}"
    assert idle.prepare().registry.url == chosen


def test_a_wrong_configuration_stops_up_before_anything_starts(idle: Stack) -> None:
    (idle.folder / "config" / "services" / "shop.yaml").write_text("name: shop")
    with pytest.raises(Invalid, match=r"services/shop\.yaml: owner: missing"):
        idle.up()
    assert not any(idle.status().values())


def test_a_stack_that_is_down_leads_nobody_to_whoever_has_its_ports_now(idle: Stack) -> None:
    idle.prepare()
    with pytest.raises(Conflict, match="is not up"):
        idle.environment()


def test_settings_that_somebody_edited_stay(idle: Stack) -> None:
    idle.prepare()
    file = idle.folder / "settings.yaml"
    file.write_text(file.read_text().replace("period: 1s", "period: 3s"))
    assert idle.prepare().judge.period == 3
    assert file.stat().st_mode & 0o777 == 0o600


def test_two_ups_of_one_folder_do_not_race(idle: Stack) -> None:
    with (idle.folder / "stack.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="under way"):
            idle.up()


def test_stacks_in_different_folders_have_different_names(tmp_path: Path) -> None:
    assert Stack(tmp_path / "a").name != Stack(tmp_path / "b").name == Stack(tmp_path / "b").name


def test_everyone_has_a_key_of_their_own_and_keeps_it(tmp_path: Path) -> None:
    first = people.ensure(tmp_path / "people.yaml", tmp_path / "keys")
    assert people.ensure(tmp_path / "people.yaml", tmp_path / "keys") == first
    assert len({person.keys for person in first.people}) == len(first.people) == 4
    assert all((tmp_path / "keys" / person.name).stat().st_mode & 0o777 == 0o600 for person in first.people)


def test_the_people_can_fill_every_seat_and_the_requester_none(idle: Stack) -> None:
    known = catalog(idle.prepare())
    wanted = {role for profile in known.environments.values() for seat in profile.seats for role in seat}
    held = {person.name: set(person.roles) & wanted for person in known.people.people}
    assert set().union(*held.values()) == wanted
    assert [name for name, roles in held.items() if not roles] == ["dev"]


def test_whatever_carries_the_mark_is_stopped_and_nothing_else(tmp_path: Path) -> None:
    name = f"interlock-test-{os.getpid()}"
    with mark.marking(name):
        marked = subprocess.Popen([sys.executable, "-c", PARENT], start_new_session=True)
    other = subprocess.Popen([sys.executable, "-c", NAP])
    try:
        while len(list(mark.carriers(name))) < 2:
            time.sleep(0.02)
        mark.stop_all(name, patience=5)
        assert marked.wait(5) != 0
        assert not list(mark.carriers(name))
        assert other.poll() is None
    finally:
        for process in (marked, other):
            process.kill()
            process.wait()


@pytest.mark.real
def test_up_again_starts_nothing_that_runs(stack: Stack) -> None:
    before = stack.status()
    assert {name for name, child in before.items() if child} >= {"postgres", "registry", "router", "prefect", "runner"}
    stack.up()
    assert stack.status() == before


@pytest.mark.real
def test_a_run_from_prefects_page_knows_this_stack(stack: Stack) -> None:
    run = wait(stack, start(stack, "release", {"service": "nosuch", "requester": "dev"}))
    assert run["state"]["type"] == "FAILED"
    assert "'nosuch' does not exist" in run["state"]["message"]


@pytest.mark.real
def test_a_container_on_a_network_of_its_own_reaches_its_database(stack: Stack) -> None:
    engine, label = Engine(load(stack.folder / "settings.yaml").engine.host).api, {"interlock.stack": stack.name}
    url = (stack.folder / "secrets" / "shop-dev-app-url").read_text()
    code = f"import psycopg; psycopg.connect({url!r}, connect_timeout=5).execute('select 1')"
    network = engine.create_network(f"{stack.name}-elsewhere", labels=label)["Id"]
    there = engine.create_host_config(network_mode=network)
    made = engine.create_container(base_image.TAG, ["python3", "-c", code], labels=label, host_config=there)
    try:
        engine.start(made["Id"])
        assert engine.wait(made["Id"], timeout=60)["StatusCode"] == 0, engine.logs(made["Id"]).decode()
    finally:
        engine.remove_container(made["Id"], force=True)
        engine.remove_network(network)


@pytest.mark.real
def test_down_leaves_nothing_behind_and_up_finds_everything_again(
    tmp_path_factory: pytest.TempPathFactory, short_folder: Path, new_stack: Callable[[Path], Stack]
) -> None:
    stack = new_stack(short_folder / "other")
    try:
        settings = stack.up()
        stray = leave_things_behind(stack, settings.engine.host)
        switch_the_train(stack, on=True)
        stack.down()
        assert stray.wait(5) != 0
        assert remains(stack, settings.engine.host) == []
        stack.up()
        assert the_train_is_on(stack)
    finally:
        stack.down(purge=True)
    assert remains(stack, settings.engine.host) == []
    assert {path.name for path in stack.folder.iterdir()} <= {"config", "stack.lock", "dockerd"}


@pytest.mark.real
def test_an_up_that_was_killed_half_way_can_be_taken_down(
    short_folder: Path, new_stack: Callable[[Path], Stack]
) -> None:
    stack = new_stack(short_folder / "half")
    stack.prepare()
    up = subprocess.Popen([sys.executable, "-m", "deployments.stack", "up", "--folder", str(stack.folder)], cwd=HOUSE)
    try:
        while not (stack.folder / "prefect" / "prefect.log").exists():  # its server takes seconds more
            assert up.poll() is None
            time.sleep(0.05)
        up.kill()
        up.wait()
        assert "prefect" not in stack.status()
        assert list(mark.carriers(stack.name))
    finally:
        up.kill()
        stack.down(purge=True)
    assert not list(mark.carriers(stack.name))


def leave_things_behind(stack: Stack, host: str | None) -> "subprocess.Popen[bytes]":
    """A container, a network, and a process that stands in no list; returns the process."""
    api, label = Engine(host).api, {"interlock.stack": stack.name}
    network = api.create_host_config(network_mode=api.create_network(stack.name, labels=label)["Id"])
    command = ["python3", "-c", NAP]
    made = api.create_container(base_image.TAG, command, name=stack.name, labels=label, host_config=network)
    api.start(made["Id"])
    with mark.marking(stack.name):
        return subprocess.Popen([sys.executable, "-c", NAP], start_new_session=True)


def remains(stack: Stack, host: str | None) -> list[Any]:
    api, mine = Engine(host).api, {"label": f"interlock.stack={stack.name}"}
    return [*mark.carriers(stack.name), *api.containers(all=True, filters=mine), *api.networks(filters=mine)]


def api(stack: Stack, method: str, path: str, body: Any = None) -> Any:
    url = f"{stack.environment()['PREFECT_API_URL']}{path}"
    answer = httpx.request(method, url, json=body, timeout=30, trust_env=False).raise_for_status()
    return answer.json() if answer.content else None


def start(stack: Stack, flow: str, parameters: dict[str, Any]) -> str:
    deployment = api(stack, "GET", f"/deployments/name/{flow}/interlock")["id"]
    run = api(stack, "POST", f"/deployments/{deployment}/create_flow_run", {"parameters": parameters})
    return str(run["id"])


def wait(stack: Stack, run: str) -> Any:
    while (found := api(stack, "GET", f"/flow_runs/{run}"))["state"]["type"] not in ("COMPLETED", "FAILED", "CRASHED"):
        time.sleep(0.3)
    return found


def switch_the_train(stack: Stack, *, on: bool) -> None:
    train = api(stack, "GET", "/deployments/name/train/interlock")
    api(stack, "PATCH", f"/deployments/{train['id']}/schedules/{train['schedules'][0]['id']}", {"active": on})


def the_train_is_on(stack: Stack) -> bool:
    return bool(api(stack, "GET", "/deployments/name/train/interlock")["schedules"][0]["active"])
