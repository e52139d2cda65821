"""When a release runs: whenever somebody starts one, from the UI, the CLI or the API."""

from prefect.deployments.runner import RunnerDeployment


def build() -> RunnerDeployment:
    """Describe the deployment `release/interlock`."""
    return RunnerDeployment.from_entrypoint(
        "flows.release.release",
        name="interlock",
        description="Bring one service forward: plan, build, approve, migrate, canary, promote. "
        "It goes no further than its way back is set and proven.",
        tags=["interlock"],
    )
