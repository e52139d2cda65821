"""`interlock plan`: compute a release without starting it."""

import typer

from adapters.connect import connect, open_house
from cli import options, show
from cli.find import oneself
from cli.plan_sheet import whole_plan
from domain.environment.topology import path_to
from domain.policy.rules import insist
from domain.release.plan import Request
from tasks.prepare import compute

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: `interlock plan shop --ref v1.1.0 --to staging`")
def plan(
    service: options.Service,
    ref: options.Ref = "main",
    to: options.To = "production",
    requester: options.Requester = "",
    reason: options.Reason = "",
    json: options.Json = False,
) -> None:
    """Show everything a release would do, and why it may.

    Per environment: what changes, who approves, and the way back on every plane. Nothing is started and nothing is
    recorded. Exits 3 when a policy denies.
    """
    house = open_house()
    desk = connect(service, house)
    request = Request(
        service=service,
        ref=ref,
        environments=path_to(to, house.environments),
        requester=oneself(requester, house.people).name,
        reason=reason,
    )
    drawn = compute(request, desk.service, house.environments, house.people, desk.ports, house.journal)
    if json:
        show.data({"hash": drawn.hash, "plan": drawn})
    else:
        whole_plan(drawn)
    insist(drawn.verdicts)
