"""Make the copies fresh that everybody may look into: masked on the way, swapped in when they are whole."""

from typing import Annotated
from uuid import uuid4

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from adapters.connect import House, copyist, open_house
from domain.data.copy import Copy
from domain.errors import Rejected, ReleaseError
from flows.report import table
from tasks.copy import copy as take
from tasks.step import Warrant


@flow(name="refresh", flow_run_name="refresh {name}")
def refresh(
    name: Annotated[str, Field(title="Copy", description="a file in config/copies; empty: every one")] = "",
) -> list[dict[str, str]]:
    """Take every copy again; one that fails keeps its last state, and fails the run once all had their turn."""
    house, run = open_house(), str(flow_run.get_id() or uuid4())
    told = [see(wanted, run, house) for wanted in ([house.catalog.copy_of(name)] if name else _all(house))]
    table("refresh", told, "Copies that were taken")
    if bad := [f"{row['copy']}: {row['what']}" for row in told if row["fresh"] == "no"]:
        raise Rejected("\n".join(bad), "the last copies are untouched: `interlock data` tries each part alone")
    return told


def see(wanted: Copy, run: str, house: House) -> dict[str, str]:
    """Take one copy, and say what came of it."""
    name = f"{wanted.name}-copy-{run[:8]}"
    warrant = Warrant(house.journal, house.leases, name, service="interlock", actor="interlock")
    try:
        stamp = take(warrant, wanted, copyist(wanted, house.settings, house.secrets))
    except ReleaseError as error:
        return {"copy": wanted.name, "fresh": "no", "what": error.message}
    rows, tables = sum(stamp.tables.values()), len(stamp.tables)
    what = f"{rows} rows of {tables} tables, of {stamp.taken_at}; searched for {stamp.searched} private values"
    return {"copy": wanted.name, "fresh": "yes", "what": what}


def _all(house: House) -> list[Copy]:
    return [wanted for _, wanted in sorted(house.catalog.copies.items())]
