"""Hold the ledger against the world, and bring the world back when somebody asks for it."""

from typing import Annotated
from uuid import uuid4

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from adapters.connect import Desk, connect
from domain.environment.comparison import compare
from domain.environment.drift import Drift, Repair, reconciliation, report_hash, says
from domain.errors import Conflict, Invalid, Refused
from domain.facts import Compared
from domain.release import standing
from domain.release.recall import comparison_of
from domain.release.state import changing
from flows.consent import consent
from flows.hold import held
from flows.report import table, tell
from flows.turn import call_next
from tasks.mend import mend
from tasks.observe import observe
from tasks.step import Warrant


@flow(name="reconcile", flow_run_name="{service} in {environment}: ledger and world")
def reconcile(
    service: Annotated[str, Field(title="Service", description="a file in config/services")],
    environment: Annotated[str, Field(title="Environment")] = "production",
    repair: Annotated[bool, Field(title="Repair", description="bring the world back; off: only look")] = False,
    requester: Annotated[str, Field(title="Requester", description="your name in people.yaml")] = "",
    reason: Annotated[str, Field(title="Reason", description="why now; it goes into the record")] = "",
) -> str:
    """Compare what stands by the ledger with what is there; mend it when asked, and where there are seats, approved."""
    desk, run = connect(service), str(flow_run.get_id() or uuid4())
    insist(environment, requester, repair, desk)
    name, actor = reconciliation(service, environment, run), requester or "interlock"
    warrant = Warrant(journal=desk.journal, leases=desk.leases, release=name, service=service, actor=actor)
    try:
        with held(warrant, environment, desk, "comparing ledger and world") as here:
            found = differences(here, desk)
            record(here, Compared(drifts=found, reason=reason, run=run))
        table("drift", [drift.row for drift in found], f"{service} in {environment}: {says(found)}")
        if not repair or not any(drift.repair for drift in found):
            return tell(f"{service} in {environment}: {says(found)}")
        agreed = consent(warrant, environment, found, desk)
        with held(agreed, environment, desk, "bringing the world back") as here:
            left = bring_back(here, found, desk)
            record(here, Compared(drifts=left, reason="after the repair", run=run))
        return tell(f"{service} in {environment}: {says(left)}")
    finally:
        call_next(service, environment, desk)


def insist(environment: str, requester: str, repair: bool, desk: Desk) -> None:
    """Raise Invalid for a place that is not declared, or a person who is not known; to look needs nobody."""
    name = desk.service.name
    if environment not in desk.service.environments:
        raise Invalid(f"{name} has no environment {environment!r}", f"services/{name}.yaml lists them")
    if (requester or repair) and desk.people.named(requester) is None:
        raise Invalid(f"requester: {requester!r} is not in people.yaml", "give your name as it stands there")


def differences(here: Warrant, desk: Desk) -> tuple[Drift, ...]:
    """Look, and compare; raises Refused while a release is changing the environment."""
    entries = desk.journal.entries(service=here.service, environment=here.environment)
    if busy := changing(entries, here.environment):
        raise Refused(f"{busy} is changing {here.environment}", f"wait for its end: `interlock explain {busy}`")
    return compare(standing.fold(entries), observe(here.service, here.environment, desk.ports))


def record(here: Warrant, seen: Compared) -> None:
    """Write down what was seen; a run that comes back from waiting and sees the same adds nothing."""
    if comparison_of(here.journal.entries(release=here.release, kinds=("compared",))) != seen:
        here.record(seen)


def bring_back(here: Warrant, agreed: tuple[Drift, ...], desk: Desk) -> tuple[Drift, ...]:
    """Mend one difference after the other, looking in between; returns what is left to people.

    Raises Conflict when the world is not what was agreed on, or when a repair does not help.
    """
    left = differences(here, desk)
    if report_hash(left) != report_hash(agreed):
        raise Conflict(f"{here.environment} has changed since it was looked at: {says(left)}", "look again")
    done: list[Repair] = []
    while drift := next((drift for drift in left if drift.repair), None):
        if drift.repair is None or drift.repair in done:
            raise Conflict(f"it did not help to {drift.row['repair']}: {drift.seen}", "look at engine and router")
        mend(here, drift.repair, desk.service.runtime.drain, desk.ports)
        done.append(drift.repair)
        left = differences(here, desk)
    return left
