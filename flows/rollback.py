"""Take a release out of an environment again: traffic first, then code and config; never report success unseen."""

from typing import Annotated

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from adapters.connect import connect
from domain.errors import Invalid
from domain.release import standing
from domain.release.state import changing
from domain.release.way_back import insist_reversible
from flows.hold import held
from flows.take_back import take_back
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
    desk = connect(service)
    inside = flow_run.get_parent_flow_run_id() is not None
    if not inside and desk.people.named(requester) is None:
        raise Invalid(f"requester: {requester!r} is not in people.yaml", "give your name as it stands there")
    entries = desk.journal.entries(service=service, environment=environment)
    release = (
        release or changing(entries, environment) or insist_reversible(standing.fold(entries), service, environment)
    )
    warrant = Warrant(
        journal=desk.journal, leases=desk.leases, release=release, service=service, actor=requester or "interlock"
    )
    owner = release if inside else f"{release}/rollback by {requester}"
    with held(warrant, environment, desk, f"rollback: {reason}", owner=owner, force=not inside) as here:
        return take_back(here, desk, reason)
