"""Tell whether a release still has a run: its leases say who lives, Prefect says how a run ended."""

from collections.abc import Sequence

from adapters.connect import House
from domain.facts import Entry, LeaseTaken
from domain.lease import carrier_of
from domain.release import state as states
from domain.release.recovery import HANDED_OVER, Fate
from domain.release.state import ReleaseState
from flows import dispatch


def lost(house: House) -> list[ReleaseState]:
    """List the releases that are not over, and have lost their run."""
    entries = house.journal.entries(kinds=("opened", "planned", "entered"))
    return [state for state in states.fold(entries).values() if not state.over and fate_of(state, house)]


def fate_of(state: ReleaseState, house: House) -> Fate | None:
    """Tell how the release lost its run; None while it has one, or needs none."""
    if state.phase == "stuck":
        parked = house.leases.holder(state.service, state.environment)
        return None if parked and parked.expires_in > 0 else "died"
    carrier = house.leases.holder(state.service, carrier_of(state.release))
    alive = carrier is not None and carrier.expires_in > 0
    if alive and carrier and carrier.owner.endswith(HANDED_OVER):
        return None
    match dispatch.end_of(run_of(state, house)):
        case "cancelled" | "failed" | "died" as ended:
            return ended
        case "waiting":
            return None
        case "cancelling":
            return None if alive else "cancelled"
        case _:  # Prefect sees it run, or never saw it: then the lease alone says whether it lives
            return None if alive else "died"


def carried_by(run: str, house: House) -> ReleaseState | None:
    """Find the release that a run carried; None: it never did."""
    taken = house.journal.entries(kinds=("lease taken",))
    release = next((entry.release for entry in reversed(taken) if last_run([entry]) == run), None)
    return states.fold(house.journal.entries(release=release)).get(release) if release else None


def run_of(state: ReleaseState, house: House) -> str:
    """Find the run that carried the release last; empty when none ever did."""
    return last_run(house.journal.entries(release=state.release, kinds=("lease taken",)))


def last_run(entries: Sequence[Entry]) -> str:
    """Find the run in the last of these entries that names one as the owner of a lease."""
    owners = [entry.fact.owner for entry in entries if isinstance(entry.fact, LeaseTaken)]
    runs = [owner.partition("/run ")[2].partition("/")[0] for owner in owners if "/run " in owner]
    return runs[-1] if runs else ""
