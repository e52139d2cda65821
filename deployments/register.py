"""Tell Prefect's server what can run. What operators changed there is theirs, and stays.

`python -m deployments.register` is for those who run workers: it makes the process work pool `interlock` and registers
the deployments in it. The embedded runner (deployments/runner.py) registers the same deployments without a pool.
"""

import contextlib
import sys
from collections.abc import Sequence

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from config.load import catalog, load
from deployments import drill, prune, reconcile, refresh, release, rollback, sweep, train
from deployments.choices import offer

POOL = "interlock"


def described() -> tuple[RunnerDeployment, ...]:
    """List every deployment, as the code has it."""
    return tuple(module.build() for module in (drill, prune, reconcile, refresh, release, rollback, sweep, train))


def keep(wanted: RunnerDeployment, present: DeploymentResponse) -> RunnerDeployment:
    """Carry over what operators own once a deployment exists: its pause switch, its schedules, its parameters.

    The code adds schedules (by slug) and parameters that the server does not have yet. Everything else, such as
    entrypoint, description and the form, comes from the code. Without this a redeploy would switch on again what
    somebody switched off.
    """
    form = (wanted._parameter_openapi_schema.model_dump()["properties"]) if wanted._parameter_openapi_schema else {}
    edited = {name: value for name, value in present.parameters.items() if name in form}
    slugs = {schedule.slug for schedule in present.schedules}
    return wanted.model_copy(
        update={
            "paused": present.paused,
            "parameters": {**wanted.parameters, **edited},
            "schedules": [
                *(
                    DeploymentScheduleCreate(
                        schedule=own.schedule, active=own.active, parameters=own.parameters, slug=own.slug
                    )
                    for own in present.schedules
                ),
                *(new for new in wanted.schedules or [] if new.slug not in slugs),
            ],
        }
    )


def settled(deployments: Sequence[RunnerDeployment], client: SyncPrefectClient) -> list[RunnerDeployment]:
    """Merge every deployment with what the server has of it."""
    merged = []
    for wanted in deployments:
        try:
            present = client.read_deployment_by_name(f"{wanted.flow_name}/{wanted.name}")
        except ObjectNotFound:
            merged.append(wanted)
        else:
            merged.append(keep(wanted, present))
    return merged


def register(deployments: Sequence[RunnerDeployment], pool: str = POOL) -> None:
    """Make the work pool unless it is there, and register the deployments in it. Safe to call again."""
    with get_client(sync_client=True) as client:
        with contextlib.suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        for deployment in settled(deployments, client):
            deployment.apply(work_pool_name=pool)
            print(f"registered {deployment.flow_name}/{deployment.name} in work pool {pool}")


if __name__ == "__main__":
    register(offer(described(), catalog(load())), *sys.argv[1:2])
