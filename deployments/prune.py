"""When backups are let go: every night, after the copies and the drills that read the same databases."""

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment

NIGHTS = CronSchedule(cron="0 5 * * *", timezone="Europe/London")


def build() -> RunnerDeployment:
    """Describe the deployment `prune/interlock`."""
    return RunnerDeployment.from_entrypoint(
        "flows.prune.prune",
        name="interlock",
        description="Let go of the backups in the store that nothing needs any more.",
        tags=["interlock"],
        schedules=[DeploymentScheduleCreate(schedule=NIGHTS, slug="every-night")],
    )
