"""When a sweep runs: every minute, and at once when Prefect notices that a run crashed or was cancelled."""

from datetime import timedelta

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger

EVERY = timedelta(minutes=1)
"""The guarantee: events can get lost, and the faster deployments/watch.py runs only beside the embedded runner."""


def build() -> RunnerDeployment:
    """Describe the deployment `sweep/interlock`."""
    return RunnerDeployment.from_entrypoint(
        "flows.sweep.sweep",
        name="interlock",
        description="Find releases whose run is gone, and see to each: go on, undo, stop, or call a person.",
        tags=["interlock"],
        schedules=[DeploymentScheduleCreate(schedule=IntervalSchedule(interval=EVERY), slug="guarantee")],
        triggers=[
            DeploymentEventTrigger(
                name="interlock: a run is gone",
                description="Starts a sweep when a release or a rollback crashed or was cancelled.",
                expect={"prefect.flow-run.Crashed", "prefect.flow-run.Cancelled"},
                match_related={"prefect.resource.role": "flow", "prefect.resource.name": ["release", "rollback"]},
            )
        ],
    )
