"""`interlock drill`: walk the way back of what serves, on a copy of its database."""

import typer

from adapters.connect import connect, open_house
from cli import options, runs, show
from cli.follow import follow
from domain.errors import Invalid

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: `interlock drill shop production`")
def drill(service: options.Service, environment: options.Environment, wait: options.Wait = True) -> None:
    """Walk the way back of what serves, on a copy of its database.

    A run of the flow `drill` restores a copy of today's data, takes the migrations of the version that serves back
    there, lets the version before it and its own statements run, and goes forward again. Nothing else is touched. The
    schedule of the deployment does the same every week, everywhere. Exits 1 with every reason why it does not hold.
    """
    desk = connect(service, open_house())
    if environment not in desk.ports.databases:
        known = ", ".join(sorted(desk.ports.databases)) or "none has one"
        raise Invalid(f"{service} has no database in {environment!r}", f"environments with one: {known}")
    asked = {"service": service, "environment": environment}
    started = runs.start("drill/interlock", asked, desk.settings.prefect)
    show.say(f"run {started.url}")
    if wait:
        follow(desk, started, lambda: f"{service}-{environment}-drill-{started.id[:8]}", 0)
