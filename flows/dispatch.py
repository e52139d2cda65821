"""What Prefect knows of runs: how one ended, starting another, and leaving word on a page."""

from typing import Any, Literal
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import suspend_flow_run
from prefect.states import Cancelled, Cancelling, Crashed

Ended = Literal["alive", "waiting", "cancelling", "cancelled", "failed", "died", "unknown"]

_ENDS: dict[StateType, Ended] = {
    StateType.PAUSED: "waiting",
    StateType.CANCELLING: "cancelling",
    StateType.CANCELLED: "cancelled",
    StateType.FAILED: "failed",
    StateType.CRASHED: "died",
}


def end_of(run: str) -> Ended:
    """Tell how a flow run ended by what Prefect knows; a process killed with its runner looks alive for ever."""
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(run)).state
    except (ObjectNotFound, ValueError):
        return "unknown"
    return _ENDS.get(state.type, "alive") if state else "unknown"


def start(deployment: str, parameters: dict[str, Any]) -> str:
    """Start a run of a deployment, such as `release/interlock`, and return its id without waiting for it."""
    run = run_deployment(deployment, parameters=parameters, timeout=0, as_subflow=False, tags=["recovery"])
    return str(run.id)  # type: ignore[union-attr]  # typed for sync and async alike


def wait(key: str, timeout: float) -> None:
    """Suspend this run until it is woken; its process ends here, and the flow starts again from the top."""
    suspend_flow_run(timeout=round(timeout), key=key)


def wake(run: str) -> bool:
    """Resume a suspended run; False when it does not wait (yet), and somebody must try again."""
    try:
        with get_client(sync_client=True) as client:
            return client.resume_flow_run(UUID(run)).status == SetStateStatus.ACCEPT
    except (ObjectNotFound, ValueError):
        return False


def stop(run: str) -> None:
    """Cancel a run as the button does; one that has no process just now is cancelled at once."""
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(run)).state
            idle = state is None or state.is_paused() or state.is_scheduled()
            client.set_flow_run_state(UUID(run), Cancelled() if idle else Cancelling())
    except (ObjectNotFound, ValueError):
        return


def being_cancelled() -> list[str]:
    """List the runs of releases and rollbacks that somebody cancelled, and that have not ended."""
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=["release", "rollback"])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING]))
            ),
        )
    return [str(run.id) for run in found]


def end(run: str, text: str) -> None:
    """Have a run end as cancelled that has no process any more, and say why."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run), Cancelled(message=text), force=True)


def leave_word(run: str, text: str) -> None:
    """Tell on the page of a lost run what became of its release, and end it where Prefect still thinks it lives."""
    try:
        with get_client(sync_client=True) as client:
            lost = client.read_flow_run(UUID(run))
            client.create_artifact(
                ArtifactCreate(key="taken-over", type="markdown", data=text, flow_run_id=lost.id, description=text[:80])
            )
            if lost.state is None or not lost.state.is_final():
                client.set_flow_run_state(lost.id, Crashed(message=text), force=True)
    except (ObjectNotFound, ValueError):
        return  # a run that Prefect never had, or has forgotten
