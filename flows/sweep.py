"""Find releases whose run is gone, and see to each: the guarantee behind everything that can be killed."""

from contextlib import suppress

import httpx
from prefect import flow
from prefect.runtime import flow_run

from adapters.connect import House, connect, open_house
from domain.errors import Conflict, ReleaseError
from domain.release.state import ReleaseState
from flows import dispatch
from flows.lost import carried_by, lost
from flows.recover import recover
from flows.report import table
from flows.turn import call_next
from tasks.clear_away import clear_away

ALONE = ("interlock", "the sweep")
"""What a sweep holds while it decides; no service has an environment of this name."""


@flow(name="sweep", flow_run_name="sweep")
def sweep() -> list[dict[str, str]]:
    """Take over the releases whose run is gone, and decide what becomes of them; then tidy up."""
    house, seen = open_house(), []
    if lost(house):
        try:
            turn = house.leases.take(*ALONE, f"sweep/{flow_run.get_id()}", "one sweep decides at a time", 60.0)
        except Conflict:
            return []  # another sweep is at it
        seen = [told for release in lost(house) if (told := see_to(release, house))]
        house.leases.give_back(turn)
    seen += tidy(house)
    table("sweep", seen, "What was found, and decided")
    return seen


def see_to(release: ReleaseState, house: House) -> dict[str, str] | None:
    """Recover one release; what stands in its way is told, and keeps no other release waiting."""
    try:
        return recover(release, house)
    except ReleaseError as error:
        return {"release": release.release, "decision": "failed, the next sweep tries again", "why": error.message}


def late_cancels(house: House) -> list[dict[str, str]]:
    """End runs that were cancelled when their release was over already: without a process, nobody else would."""
    told = []
    with suppress(ReleaseError, httpx.HTTPError):
        for run in dispatch.being_cancelled():
            state = carried_by(run, house)
            if state and state.over:
                dispatch.end(run, f"cancelled too late: {state.release} is {state.phase}")
                told.append({"release": state.release, "why": f"cancelled too late: it is {state.phase}", "run": run})
    return told


def tidy(house: House) -> list[dict[str, str]]:
    """Deliver messages that are due, clear away what nobody owns; what does not answer is left to the next sweep."""
    told = late_cancels(house)
    for number, service in enumerate(house.catalog.services):
        with suppress(ReleaseError):
            desk = connect(service, house)
            for environment in desk.environments:
                if called := call_next(service, environment, house):
                    told.append({"called": called, "why": f"{environment} is free"})
            house.post.deliver(desk.ports.notices, desk.ports.clock.now())
            cleared = clear_away(desk, everywhere=number == 0)
            told += [{"cleared away": orphan.belonging.says, "why": orphan.reason} for orphan in cleared]
    return told
