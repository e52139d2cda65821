"""When the release train leaves: on weekday mornings, once somebody has switched the schedule on."""

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment

WEEKDAY_MORNINGS = CronSchedule(cron="0 9 * * 1-5", timezone="Europe/London")


def build() -> RunnerDeployment:
    """Describe the deployment `train/interlock`; its schedule is off until it is switched on in the UI."""
    return RunnerDeployment.from_entrypoint(
        "flows.train.train",
        name="interlock",
        description="Release every service that has something new, in the order of their needs. Leaves on time.",
        tags=["interlock", "train"],
        schedules=[DeploymentScheduleCreate(schedule=WEEKDAY_MORNINGS, active=False, slug="weekday-mornings")],
    )
