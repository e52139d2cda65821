"""`interlock rollback`: show the way back, and walk it."""

from typing import Annotated

import typer

from adapters.connect import House, open_house
from cli import options, runs, show
from cli.find import oneself
from cli.follow import follow
from domain.release import standing
from domain.release.recall import plan_of
from domain.release.state import changing
from domain.release.way_back import insist_reversible, way_back

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: `interlock rollback shop production --reason 'checkout is slow'`")
def rollback(
    service: options.Service,
    environment: Annotated[
        str, typer.Argument(metavar="ENVIRONMENT", help="The environment to put back.", show_default=False)
    ],
    reason: options.Reason,
    requester: options.Requester = "",
    wait: options.Wait = True,
    yes: options.Yes = False,
) -> None:
    """Put an environment back to what served before.

    Shows the way back first: traffic, then code and configuration; what becomes of the data. No approval and no freeze
    stands in the way of a rollback, and a release that is under way there is taken over.
    """
    house = open_house()
    house.catalog.service(service)
    house.catalog.environment(environment)
    person = oneself(requester, house.people)
    release, last = _show_way(house, service, environment)
    if not yes:
        typer.confirm(f"{person.name}: walk this way back in {environment}?", abort=True)
    parameters = {"service": service, "environment": environment, "reason": reason, "requester": person.name}
    started = runs.start("rollback/interlock", parameters, house.settings.prefect)
    show.say(f"run {started.url}")
    if wait:
        follow(house, started, lambda: release, last)


def _show_way(house: House, service: str, environment: str) -> tuple[str, int]:
    """Print the way back; return the release that it takes out, and how far the journal was then.

    Raises Refused, as the flow would, when there is nothing to go back to.
    """
    entries = house.journal.entries(service=service, environment=environment)
    stands = standing.fold(entries)
    release = changing(entries, environment) or insist_reversible(stands, service, environment)
    show.heading(f"{service} in {environment}: the way back out of {release}")
    for number, undo in enumerate(way_back(stands, release), start=1):
        show.say(f"  {number}. {undo.says}")
    if plan := plan_of(house.journal.entries(release=release, kinds=("planned",))):
        show.say(f"  data: {plan.stage(environment).way_back.data}")
    return release, max((entry.seq for entry in house.journal.entries(release=release)), default=0)
