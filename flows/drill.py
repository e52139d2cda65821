"""Prove again, on today's data, that what serves can be taken back: a way back that nobody walks grows over."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated
from uuid import uuid4

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from adapters.connect import Desk, connect, open_house
from domain.errors import Invalid, Rejected, ReleaseError
from domain.release import standing
from domain.release.plan import Plan
from domain.release.recall import plan_of
from flows.hold import held
from flows.report import table
from flows.turn import call_next
from tasks.announce import announce
from tasks.drill import drill as walk
from tasks.prove import way_of
from tasks.step import Warrant


@flow(name="drill", flow_run_name="drill {service} {environment}")
def drill(
    service: Annotated[str, Field(title="Service", description="empty: every one")] = "",
    environment: Annotated[str, Field(title="Environment", description="empty: every one")] = "",
) -> list[dict[str, str]]:
    """Walk the way back of every version that serves, on a copy of its database; fails where one does not hold."""
    told, run = [], str(flow_run.get_id() or uuid4())
    for desk, where, plan in due(service, environment):
        name = f"{desk.service.name}-{where}-drill-{run[:8]}"
        warrant = Warrant(desk.journal, desk.leases, name, desk.service.name, actor="interlock")
        told.append({"service": desk.service.name, "environment": where} | see(warrant, where, plan, desk))
    table("drill", told, "Ways back that were walked")
    if bad := [f"{row['service']} in {row['environment']}: {row['what']}" for row in told if row["holds"] == "no"]:
        raise Rejected("\n".join(bad), "release something that can be taken back, or mend the down script by hand")
    return told


def due(service: str, environment: str) -> Iterator[tuple[Desk, str, Plan]]:
    """List where something serves that came in the place of something else, on a database; raises Invalid."""
    house = open_house()
    if service and environment and environment not in connect(service, house).service.environments:
        raise Invalid(f"{service} has no environment {environment!r}", f"services/{service}.yaml lists them")
    for name in [service] if service else sorted(house.catalog.services):
        desk = connect(name, house)
        for where in [environment] if environment else sorted(desk.ports.databases):
            serving = standing.fold(desk.journal.entries(service=name, environment=where)).serving
            own = desk.journal.entries(release=serving.deployment.release) if serving else ()
            if where in desk.ports.databases and (plan := plan_of(own)) and plan.stage(where).previous:
                yield desk, where, plan


def see(warrant: Warrant, where: str, plan: Plan, desk: Desk) -> dict[str, str]:
    """Hold the environment, walk the way back there, and call people when it does not hold; returns what to show."""
    ports = desk.ports
    try:
        with held(warrant, where, desk, "a drill of the way back") as here:
            try:
                way = way_of(plan, plan.stage(where), ports.source)
                proof = walk(here, way, ports.databases[where], ports.store, ports.clock)
                return {"holds": "yes", "what": f"walked in {proof.seconds:.1f} s", "proof": proof.evidence}
            except Rejected as error:
                about = {"reason": error.message}
                announce(replace(here, permit=None), "needs a person", plan, about, desk.post, ports)
                return {"holds": "no", "what": error.message, "proof": error.hint}
    except ReleaseError as error:
        return {"holds": "not walked", "what": error.message, "proof": ""}
    finally:
        call_next(desk.service.name, where, desk)
