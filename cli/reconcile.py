"""`interlock reconcile`: the ledger held against the world, and on request the world brought back."""

from collections.abc import Sequence
from typing import Annotated

import typer

from adapters.connect import Desk, connect, open_house
from cli import options, runs, show
from cli.find import oneself, waiting
from cli.follow import follow
from domain.environment.comparison import compare
from domain.environment.drift import Drift, reconciliation, says
from domain.errors import Invalid
from domain.release import standing
from domain.release.recall import comparison_of
from domain.release.state import changing
from tasks.observe import observe

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: `interlock reconcile shop production --repair --reason 'a host was lost'`")
def reconcile(
    service: options.Service,
    environment: options.Environment,
    repair: Annotated[bool, typer.Option("--repair", help="Bring the world back, where that is safe.")] = False,
    reason: options.Reason = "",
    requester: options.Requester = "",
    wait: options.Wait = True,
    yes: options.Yes = False,
    json: options.Json = False,
) -> None:
    """Hold the ledger against the world, and bring the world back.

    Compares images, configuration, replicas, the route and the schema of an environment with what was recorded, and
    changes nothing: exits 0 when they are the same, 1 when they differ. With --repair a run of the flow `reconcile`
    brings back what can be brought back; where people must approve it waits for them. The schema is never repaired.
    """
    desk = connect(service, open_house())
    if environment not in desk.service.environments:
        raise Invalid(f"{service} has no environment {environment!r}", f"known: {', '.join(desk.service.environments)}")
    found = differences(desk, environment)
    show_differences(found, service, environment, json)
    if not found:
        return
    if not (repair and any(drift.repair for drift in found)):
        raise typer.Exit(1)
    person = oneself(requester, desk.people)
    if not yes:
        typer.confirm(f"{person.name}: bring {environment} back to what the ledger says?", abort=True)
    asked = {"service": service, "environment": environment, "repair": True, "reason": reason}
    started = runs.start("reconcile/interlock", {**asked, "requester": person.name}, desk.settings.prefect)
    show.say(f"run {started.url}")
    if wait:
        name = reconciliation(service, environment, started.id)
        follow(desk, started, lambda: name, 0)
        _insist_on_repair(desk, name)


def differences(desk: Desk, environment: str) -> tuple[Drift, ...]:
    """Look and compare, holding nothing; while a release changes the environment, that is said."""
    entries = desk.journal.entries(service=desk.service.name, environment=environment)
    if busy := changing(entries, environment):
        show.say(f"{busy} is changing {environment} just now: differences are to be expected", "yellow", show.err)
    return compare(standing.fold(entries), observe(desk.service.name, environment, desk.ports))


def show_differences(found: Sequence[Drift], service: str, environment: str, json: bool) -> None:
    """Print a report, as data or as a table."""
    if json:
        show.data({"service": service, "environment": environment, "differences": found})
        return
    if found:
        show.table("differences", tuple(found[0].row), [tuple(drift.row.values()) for drift in found])
    show.say(f"{service} in {environment}: {says(found)}", "yellow" if found else "green")


def _insist_on_repair(desk: Desk, name: str) -> None:
    """Exit with 1 when the run is over and something is left to people."""
    entries = desk.journal.entries(release=name)
    seen = comparison_of(entries)
    if seen and seen.drifts and not waiting(entries):
        raise typer.Exit(1)
