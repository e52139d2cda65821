"""Let go of the backups that nothing needs any more; whatever nobody can tell anything about is kept, and shown."""

from prefect import flow

from adapters.connect import Desk, House, connect, open_house, store
from domain.errors import Conflict, Rejected, ReleaseError
from domain.release.retention import Ruling
from flows.report import table
from flows.turn import call_next
from tasks.find_backups import find_backups, find_strangers
from tasks.let_go import let_go


@flow(name="prune", flow_run_name="prune")
def prune() -> list[dict[str, str]]:
    """Rule on every backup, place by place; fails when something did not answer, once every place had its turn."""
    house, told = open_house(), list[dict[str, str]]()
    for name in sorted(house.catalog.services):
        desk = connect(name, house)
        for environment in desk.service.environments:
            told += see(desk, environment)
        told += doubts(desk)
    told += strangers(house)
    table("prune", told, "Backups that went, and what nobody can tell anything about")
    if bad := [f"{row['backup']}: {row['why']}" for row in told if row["what"] == "failed"]:
        raise Rejected("\n".join(bad), "the next night tries again, and so does `interlock backups prune`")
    return told


def see(desk: Desk, environment: str) -> list[dict[str, str]]:
    """Let go of what may go in one environment, and say what came of it; one that is held waits for the next night."""
    place = f"{desk.service.name} in {environment}"
    try:
        went = let_go(desk, desk.settings.store.keep, environment)
    except Conflict as error:
        return [{"backup": place, "what": "kept", "why": error.message}]
    except ReleaseError as error:
        return [{"backup": place, "what": "failed", "why": error.message}]
    if went:  # somebody may have begun to wait meanwhile
        call_next(desk.service.name, environment, desk)
    return [row(it, "went") for it in went]


def doubts(desk: Desk) -> list[dict[str, str]]:
    """List what a service keeps because nobody can tell what it is, whose, or how old."""
    try:
        return [row(it, "kept") for it in find_backups(desk, desk.settings.store.keep) if it.doubtful]
    except ReleaseError as error:
        return [{"backup": desk.service.name, "what": "failed", "why": error.message}]


def strangers(house: House) -> list[dict[str, str]]:
    """List what belongs to no service."""
    try:
        return [row(it, "kept") for it in find_strangers(house.catalog.services, store(house))]
    except ReleaseError as error:
        return [{"backup": "backups/", "what": "failed", "why": error.message}]


def row(ruling: Ruling, what: str) -> dict[str, str]:
    """Say what became of a backup, and why."""
    return {"backup": ruling.backup.key, "what": what, "why": ruling.says}
