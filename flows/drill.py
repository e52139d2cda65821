"""Prove again, on today's data, that what serves can be taken back: a way back that nobody walks grows over."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated
from uuid import uuid4

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from adapters.connect import Desk, connect, open_house
from domain.errors import Invalid, Rejected, ReleaseError, Unavailable
from domain.release import standing
from domain.release.artifact import Artifact
from domain.release.plan import Plan
from domain.release.recall import plan_of
from flows.hold import held
from flows.report import table
from flows.turn import call_next
from tasks.announce import announce
from tasks.drill import drill as walk
from tasks.operate import tools_of
from tasks.prove import way_of
from tasks.step import Warrant

PAUSES = (60.0, 300.0, 900.0, 2400.0)
"""Seconds until an environment is come back to that somebody holds, or that does not answer: an hour in all."""


@dataclass(frozen=True)
class Place:
    """Where something serves that came in the place of something else, on a database."""

    desk: Desk
    environment: str
    plan: Plan
    artifact: Artifact

    @property
    def name(self) -> str:
        """Name it as people do: `shop in production`."""
        return f"{self.desk.service.name} in {self.environment}"


@flow(name="drill", flow_run_name="drill {service} {environment}")
def drill(
    service: Annotated[str, Field(title="Service", description="empty: every one")] = "",
    environment: Annotated[str, Field(title="Environment", description="empty: every one")] = "",
) -> list[dict[str, str]]:
    """Walk the way back of every version that serves, on a copy of its database; fails where one does not hold.

    It comes back to where somebody was at work or something did not answer, unless one place alone is asked for; fails
    where nothing was walked in the end.
    """
    run, told = str(flow_run.get_id() or uuid4())[:8], dict[str, dict[str, str]]()
    left, pauses = list(due(service, environment)), () if service and environment else PAUSES
    for pause in (*pauses, 0.0):
        told |= {place.name: see(place, run) for place in left}
        left = [place for place in left if told[place.name]["holds"] == "not walked"]
        if left and pause:
            left[0].desk.ports.clock.sleep(pause)
    table("drill", [*told.values()], "Ways back that were walked")
    if bad := [f"{name}: {row['what']}" for name, row in told.items() if row["holds"] == "no"]:
        raise Rejected("\n".join(bad), "release something that can be taken back, or mend the down script by hand")
    if left:
        missed = "\n".join(f"{place.name}: {told[place.name]['what']}" for place in left)
        raise Unavailable(missed, "nothing was walked there: `interlock drill SERVICE ENVIRONMENT`, when it is free")
    return [*told.values()]


def due(service: str, environment: str) -> Iterator[Place]:
    """List where there is a way back to walk; raises Invalid for a place that is not there."""
    house = open_house()
    if service and environment and environment not in connect(service, house).service.environments:
        raise Invalid(f"{service} has no environment {environment!r}", f"services/{service}.yaml lists them")
    for name in [service] if service else sorted(house.catalog.services):
        desk = connect(name, house)
        for where in [environment] if environment else sorted(desk.ports.databases):
            serving = standing.fold(desk.journal.entries(service=name, environment=where)).serving
            own = desk.journal.entries(release=serving.deployment.release) if serving else ()
            plan = plan_of(own) if where in desk.ports.databases else None
            if serving and plan and plan.stage(where).previous:
                yield Place(desk, where, plan, serving.deployment.artifact)


def see(place: Place, run: str) -> dict[str, str]:
    """Hold the environment, walk the way back there, and call people when it does not hold; returns what to show."""
    desk, where = place.desk, place.environment
    told = {"service": desk.service.name, "environment": where, "proof": ""}
    name = f"{desk.service.name}-{where}-drill-{run}"
    warrant = Warrant(desk.journal, desk.leases, name, desk.service.name, actor="interlock")
    try:
        with held(warrant, where, desk, "a drill of the way back") as here:
            return told | walk_there(here, place)
    except ReleaseError as error:
        return told | {"holds": "not walked", "what": error.message}
    finally:
        call_next(desk.service.name, where, desk)


def walk_there(here: Warrant, place: Place) -> dict[str, str]:
    """Walk the way back under the lease; a way back that does not hold calls people, and is told."""
    ports, stage = place.desk.ports, place.plan.stage(place.environment)
    tools = tools_of(here, place.plan, stage, place.artifact, ports.workload)
    way = way_of(place.plan, stage, place.artifact, ports.source)
    try:
        proof = walk(here, way, ports.databases[place.environment], ports.store, ports.clock, tools)
    except Rejected as error:
        about = {"reason": error.message}
        announce(replace(here, permit=None), "needs a person", place.plan, about, place.desk.post, ports)
        return {"holds": "no", "what": error.message, "proof": error.hint}
    return {"holds": "yes", "what": f"walked in {proof.seconds:.1f} s", "proof": proof.evidence}
