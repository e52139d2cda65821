"""Take a release out of an environment again: traffic first, then code and config; never report success unseen."""

from typing import Annotated
from uuid import uuid4

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from adapters.connect import connect
from domain.errors import Invalid
from domain.release import standing
from domain.release.state import changing, insist_on_place
from domain.release.way_back import insist_reversible
from flows.hold import carried, handed_on, held
from flows.take_back import take_back
from flows.turn import call_next
from tasks.step import Warrant


@flow(name="rollback", flow_run_name="{service} in {environment} back")
def rollback(
    service: Annotated[str, Field(title="Service", description="a file in config/services")],
    environment: Annotated[str, Field(title="Environment")] = "production",
    reason: Annotated[str, Field(title="Reason", description="what is wrong; it goes into the record")] = "",
    requester: Annotated[str, Field(title="Requester", description="your name in people.yaml")] = "",
    release: Annotated[str, Field(title="Release", description="empty: whatever is there now")] = "",
) -> str:
    """Put an environment back to what served before; always allowed, also over the head of a running release."""
    desk, run = connect(service), flow_run.get_parent_flow_run_id() or flow_run.get_id() or uuid4()
    inside = flow_run.get_parent_flow_run_id() is not None
    entries = desk.journal.entries(service=service, environment=environment)
    release = (
        release or changing(entries, environment) or insist_reversible(standing.fold(entries), service, environment)
    )
    insist_on_place(desk.journal.entries(release=release), environment)
    warrant = Warrant(
        journal=desk.journal, leases=desk.leases, release=release, service=service, actor=requester or "interlock"
    )
    if not (inside or desk.people.named(requester) or handed_on(warrant)):
        raise Invalid(f"requester: {requester!r} is not in people.yaml", "give your name as it stands there")
    with (
        carried(warrant, desk, str(run), force=not inside) as sole,
        held(sole, environment, desk, f"rollback: {reason}", force=not inside) as here,
    ):
        back = take_back(here, desk, reason)
    call_next(service, environment, desk)
    return back
