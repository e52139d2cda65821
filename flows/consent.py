"""Have a repair agreed on, where there are seats: by signatures over exactly the differences that were seen."""

from dataclasses import replace
from datetime import datetime
from functools import partial

from adapters.connect import Desk
from domain.environment.drift import Drift, markdown, report_hash, says
from domain.policy.approval import Gate
from domain.release import standing
from flows.gate import wait
from tasks.announce import announce
from tasks.step import Permit, Warrant

QUESTION = "reconcile"


def consent(warrant: Warrant, environment: str, found: tuple[Drift, ...], desk: Desk) -> Warrant:
    """Return the authority that carries the permit; suspends until it is given, and holds nothing meanwhile.

    Nothing needs to be held: what is signed is the hash of the differences, so when the world changes the signature is
    worth nothing, and people are asked again. Raises Refused when somebody rejects.
    """
    profile = desk.environments[environment]
    if not profile.seats:
        return warrant
    gate = gate_for(warrant, environment, found, desk)
    about = {"question": QUESTION, "environment": environment, "changes": says(found)}
    call = partial(announce, warrant, "approval needed", None, about, desk.post, desk.ports)
    wait(warrant, gate, markdown(found), profile.approval_expires, call, desk)
    last = desk.journal.entries(release=warrant.release, kinds=("approved",))[-1]
    return replace(warrant, permit=Permit(gate=gate, people=desk.people, passed_at=datetime.fromisoformat(last.at)))


def gate_for(warrant: Warrant, environment: str, found: tuple[Drift, ...], desk: Desk) -> Gate:
    """Describe what is asked: in place of a plan these differences, and the bytes that serve by the ledger."""
    serving = standing.fold(desk.journal.entries(service=warrant.service, environment=environment)).serving
    person = desk.people.named(warrant.actor)
    return Gate(
        release=warrant.release,
        service=warrant.service,
        environment=environment,
        question=QUESTION,
        plan=report_hash(found),
        digest=serving.deployment.artifact.digest if serving else "",
        seats=desk.environments[environment].seats,
        barred=frozenset({person.name, person.email} if person else {warrant.actor}),
    )
