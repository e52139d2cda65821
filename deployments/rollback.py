"""When a rollback runs: whenever somebody wants one; no freeze and no gate stands in its way."""

from prefect.deployments.runner import RunnerDeployment


def build() -> RunnerDeployment:
    """Describe the deployment `rollback/interlock`."""
    return RunnerDeployment.from_entrypoint(
        "flows.rollback.rollback",
        name="interlock",
        description="Put one service in one environment back to what served before: traffic, code, config and data.",
        tags=["interlock"],
    )
