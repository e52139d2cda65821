"""When ways back are walked again: every Sunday before dawn, when a copy costs the least."""

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment

SUNDAYS = CronSchedule(cron="30 3 * * 0", timezone="Europe/London")


def build() -> RunnerDeployment:
    """Describe the deployment `drill/interlock`."""
    return RunnerDeployment.from_entrypoint(
        "flows.drill.drill",
        name="interlock",
        description="Walk the way back of every version that serves, on a copy of its database.",
        tags=["interlock"],
        schedules=[DeploymentScheduleCreate(schedule=SUNDAYS, slug="every-week")],
    )
