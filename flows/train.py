"""A release train: leaves on time with everybody who was in before the cut-off."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.runtime import flow_run
from pydantic import Field

from adapters.connect import connect
from domain.release.train import Passenger, blocked_by, boarding, departure
from tasks.board import board


@flow(name="train", flow_run_name="train to {to}")
def train(
    services: Annotated[list[str], Field(title="Services", description="who may be on this train")],
    to: Annotated[str, Field(title="Destination")] = "production",
    conductor: Annotated[str, Field(title="Conductor", description="requester of every release on the train")] = "",
    cutoff_minutes: Annotated[int, Field(title="Cut-off", description="minutes before departure", ge=0)] = 60,
    patience_minutes: Annotated[int, Field(title="Patience", description="longest wait for one passenger", ge=1)] = 120,
) -> list[dict[str, str]]:
    """Release every service with commits before the cut-off, in dependency order; red ones are dropped and named."""
    departs = flow_run.get_scheduled_start_time() or datetime.now(UTC)
    cutoff = departs - timedelta(minutes=cutoff_minutes)
    desks = {name: connect(name) for name in services}
    heads = {name: board(desk.service, desk.ports.source) for name, desk in desks.items()}
    serving = {name: desk.commit_serving(to) for name, desk in desks.items()}
    needs = {name: desk.service.needs for name, desk in desks.items()}
    done: list[Passenger] = []
    for passenger in departure(boarding(heads, serving, cutoff), needs):
        dropped = {p.service: p.why for p in done if p.outcome != "released"}
        if blocker := blocked_by(passenger, needs, dropped):
            done.append(passenger.left_behind(f"needs {blocker}, which is not on board: {dropped[blocker]}"))
        else:
            done.append(ride(passenger, to, conductor, patience_minutes * 60))
        show(done)
    show(done)
    return [passenger.model_dump() for passenger in done]


@task(task_run_name="ride of {passenger.service}", cache_policy=NO_CACHE)
def ride(passenger: Passenger, to: str, conductor: str, patience: float) -> Passenger:
    """Run one passenger's release as a run of its own, and tell what became of it."""
    run: FlowRun = run_deployment(
        "release/interlock",
        parameters={"service": passenger.service, "ref": passenger.commit, "to": to, "requester": conductor,
                    "reason": "release train"},
        timeout=patience, poll_interval=1, as_subflow=False,
    )  # type: ignore[assignment]  # fmt: skip  # typed for sync and async alike
    if run.state is None or not run.state.is_final():
        return passenger.left_behind(f"still {run.state_name or 'waiting'} when the train left: run {run.name}")
    if not run.state.is_completed():
        return passenger.dropped(f"{run.state.message or run.state_name}")
    return passenger.arrived()


def show(passengers: list[Passenger]) -> None:
    """Put the passenger list on the run's page."""
    create_table_artifact([p.row() for p in passengers], key="passengers", description="Passengers of this train")
