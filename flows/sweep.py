"""Find releases whose run is gone, and see to each: the guarantee behind everything that can be killed."""

from prefect import flow
from prefect.runtime import flow_run

from adapters.connect import House, open_house
from domain.errors import Conflict
from domain.release import state
from domain.release.state import ReleaseState
from flows.recover import recover
from flows.report import table

ALONE = ("interlock", "the sweep")
"""What a sweep holds while it decides; no service has an environment of this name."""


@flow(name="sweep", flow_run_name="sweep")
def sweep() -> list[dict[str, str]]:
    """Look at every unfinished release; take over those whose run is gone, and decide what becomes of them."""
    house, seen = open_house(), []
    if unfinished(house):
        try:
            turn = house.leases.take(*ALONE, f"sweep/{flow_run.get_id()}", "one sweep decides at a time", 60.0)
        except Conflict:
            return []  # another sweep is at it
        seen = [told for release in unfinished(house) if (told := recover(release, house))]
        house.leases.give_back(turn)
    table("sweep", seen, "What was found, and decided")
    return seen


def unfinished(house: House) -> list[ReleaseState]:
    """List the releases that are not over, and that nobody seems to carry by the leases or by Prefect."""
    entries = house.journal.entries(kinds=("opened", "planned", "entered"))
    return [release for release in state.fold(entries).values() if not release.over]
