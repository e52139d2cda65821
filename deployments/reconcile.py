"""When ledger and world are compared: whenever somebody wants to know, and to repair what differs."""

from prefect.deployments.runner import RunnerDeployment


def build() -> RunnerDeployment:
    """Describe the deployment `reconcile/interlock`."""
    return RunnerDeployment.from_entrypoint(
        "flows.reconcile.reconcile",
        name="interlock",
        description="Compare what stands by the ledger with what is there, plane by plane. "
        "Repairs only when asked, and where people must approve, approved.",
        tags=["interlock"],
    )
