"""What can run is told once, and what operators changed on the server is theirs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from config.settings import HOUSE
from deployments.embedded import prefect, process
from deployments.register import described, keep, register

HOURLY, DAILY = CronSchedule(cron="0 * * * *"), CronSchedule(cron="0 8 * * *")
STUB = '''
from prefect import flow, get_run_logger

@flow
def stub(service: str, ref: str = "main") -> str:
    """Do nothing."""
    get_run_logger().info("here")
    return service
'''
SERVE = """
from prefect.deployments.runner import RunnerDeployment
from deployments.runner import run
run([RunnerDeployment.from_entrypoint("stub_flows.stub", name="served", parameters={"service": "shop"})])
"""


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunnerDeployment:
    """A deployment of a flow that does nothing, from a module that is importable from any folder."""
    (tmp_path / "stub_flows.py").write_text(STUB)
    monkeypatch.syspath_prepend(tmp_path)
    return wanted()


def wanted(name: str = "interlock", **changes: Any) -> RunnerDeployment:
    shape: dict[str, Any] = {
        "parameters": {"service": "shop", "ref": "main"},
        "schedules": [DeploymentScheduleCreate(schedule=HOURLY, active=True, slug="hourly")],
        **changes,
    }
    return RunnerDeployment.from_entrypoint("stub_flows.stub", name=name, **shape)


def present(**changes: Any) -> DeploymentResponse:
    return DeploymentResponse(id=uuid4(), flow_id=uuid4(), name="interlock", **changes)


def test_a_schedule_that_was_switched_off_stays_off(stub: RunnerDeployment) -> None:
    off = DeploymentSchedule(schedule=HOURLY, active=False, slug="hourly")
    assert [(s.slug, s.active) for s in keep(stub, present(schedules=[off])).schedules or []] == [("hourly", False)]


def test_a_schedule_that_somebody_changed_or_added_stays(stub: RunnerDeployment) -> None:
    theirs = [DeploymentSchedule(schedule=DAILY, active=True, slug="hourly"), DeploymentSchedule(schedule=DAILY)]
    kept = keep(stub, present(schedules=theirs)).schedules or []
    assert [s.schedule for s in kept] == [DAILY, DAILY]


def test_a_schedule_that_is_new_in_the_code_arrives(stub: RunnerDeployment) -> None:
    assert [s.slug for s in keep(stub, present(schedules=[])).schedules or []] == ["hourly"]


def test_a_paused_deployment_stays_paused(stub: RunnerDeployment) -> None:
    assert keep(stub, present(paused=True)).paused is True
    assert keep(stub, present(paused=False)).paused is False


def test_edited_parameters_stay_new_ones_arrive_and_gone_ones_go(stub: RunnerDeployment) -> None:
    kept = keep(stub, present(parameters={"service": "blog", "no_longer": 1}))
    assert kept.parameters == {"service": "blog", "ref": "main"}


def test_prefect_yaml_says_what_the_code_says() -> None:
    declared = yaml.safe_load((HOUSE / "prefect.yaml").read_text())["deployments"]
    assert [shape_in_file(entry) for entry in declared] == [shape(deployment) for deployment in described()]


def shape(deployment: RunnerDeployment) -> dict[str, Any]:
    assert deployment.description
    return {
        "name": deployment.name,
        "entrypoint": deployment.entrypoint,
        "description": deployment.description,
        "tags": deployment.tags,
        "parameters": deployment.parameters,
        "schedules": [{"slug": s.slug, "active": s.active, **times(s)} for s in deployment.schedules or []],
        "triggers": [
            {
                "type": "event",
                "expect": sorted(t.expect),
                **t.model_dump(include={"name", "description", "match_related"}),
            }
            for t in deployment.triggers
        ],
    }


def times(entry: Any) -> dict[str, Any]:
    if isinstance(entry.schedule, IntervalSchedule):
        return {"interval": entry.schedule.interval.total_seconds()}
    return dict(entry.schedule.model_dump(include={"cron", "timezone"}))


def shape_in_file(entry: dict[str, Any]) -> dict[str, Any]:
    assert entry["work_pool"] == {"name": "interlock"}
    return {
        "parameters": {},
        "schedules": [],
        "triggers": [],
        **{name: value for name, value in entry.items() if name != "work_pool"},
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, free_port: int) -> Iterator[dict[str, str]]:
    """A Prefect server for one client at a time, as the environment that leads to it."""
    home = tmp_path_factory.mktemp("prefect")
    child = prefect.start(home, f"sqlite+aiosqlite:///{home}/prefect.db", free_port)
    try:
        yield prefect.environment(home, free_port)
    finally:
        process.stop(child)


def test_a_server_has_pages_of_its_own_so_that_no_other_one_can_break_them(server: dict[str, str]) -> None:
    pages = Path(server["PREFECT_HOME"]) / "pages"
    assert {kind.name for kind in pages.iterdir() if (kind / "index.html").is_file()} == {"v1", "v2"}


@pytest.fixture
def client(server: dict[str, str]) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: server["PREFECT_API_URL"]}), get_client(sync_client=True) as client:
        yield client


@pytest.mark.real
def test_registering_again_leaves_an_operators_switch_and_parameters_alone(
    stub: RunnerDeployment, client: SyncPrefectClient
) -> None:
    register([stub], pool="pool-a")
    first = client.read_deployment_by_name("stub/interlock")
    client.update_deployment_schedule(first.id, first.schedules[0].id, active=False)
    client.update_deployment(first.id, DeploymentUpdate(parameters={"service": "blog"}))
    register([wanted(description="said anew")], pool="pool-a")
    again = client.read_deployment_by_name("stub/interlock")
    assert (again.id, again.work_pool_name, again.entrypoint) == (first.id, "pool-a", "stub_flows.stub")
    assert [s.active for s in again.schedules] == [False]
    assert again.parameters == {"service": "blog", "ref": "main"}
    assert again.description == "said anew"


@pytest.mark.real
def test_prefect_deploy_takes_the_file(server: dict[str, str], client: SyncPrefectClient) -> None:
    register([], pool="interlock")
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(command, cwd=HOUSE, env={**os.environ, **server}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for wish in described():
        found = client.read_deployment_by_name(wish.full_name)
        assert (found.entrypoint, found.work_pool_name) == (wish.entrypoint, "interlock")
        assert [s.active for s in found.schedules] == [s.active for s in wish.schedules or []]


@pytest.mark.real
def test_the_runner_runs_flows_from_any_folder_and_leaves_schedules_on_when_it_goes(
    stub: RunnerDeployment, server: dict[str, str], client: SyncPrefectClient, tmp_path: Path
) -> None:
    register([wanted("served")], pool="pool-b")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    runner = subprocess.Popen(
        [sys.executable, "-c", SERVE], cwd=elsewhere, env={**os.environ, **server, "PYTHONPATH": str(tmp_path)}
    )
    try:
        deployment = client.read_deployment_by_name("stub/served")
        run = client.create_flow_run_from_deployment(deployment.id)
        while not (state := client.read_flow_run(run.id).state) or not state.is_final():
            assert runner.poll() is None
            time.sleep(0.2)
        assert state.is_completed(), state.message
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.wait(30)
    after = client.read_deployment_by_name("stub/served")
    assert (after.paused, [s.active for s in after.schedules]) == (False, [True])
