"""When the masked copies are taken again: every night; with none declared there is nothing to do."""

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment

NIGHTS = CronSchedule(cron="0 2 * * *", timezone="Europe/London")


def build() -> RunnerDeployment:
    """Describe the deployment `refresh/interlock`."""
    return RunnerDeployment.from_entrypoint(
        "flows.refresh.refresh",
        name="interlock",
        description="Take the masked copies again that config/copies declares.",
        tags=["interlock"],
        schedules=[DeploymentScheduleCreate(schedule=NIGHTS, slug="every-night")],
    )
