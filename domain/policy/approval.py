"""An approval: a signed statement over exactly what will be executed, and the quorum it adds up to."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal, Self

import sshsig
from pydantic import Field, ValidationError

from domain.canonical import canonical
from domain.errors import Refused
from domain.policy.people import People, Person
from domain.value import Value

NAMESPACE = "interlock-approval"
_MARK = "-----BEGIN SSH SIGNATURE-----"
_END = "-----END SSH SIGNATURE-----"


class Statement(Value):
    """What a person signs."""

    release: str
    service: str
    environment: str
    question: str
    plan: str
    digest: str
    decision: Literal["approve", "reject"]
    approver: str
    nonce: str
    expires: datetime

    @property
    def text(self) -> str:
        """Give the exact text that is signed: canonical JSON on one line."""
        return canonical(self)


class Approval(Value):
    """A statement and the SSH signature over it."""

    statement: Statement
    signature: str

    @property
    def text(self) -> str:
        """Give the form that people paste: the statement on one line, then the armored signature."""
        return f"{self.statement.text}\n{self.signature.strip()}\n"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read pasted text; line breaks lost on the way are put back. Raises Refused when it is not an approval."""
        body, mark, armor = text.strip().partition(_MARK)
        if not mark or _END not in armor:
            raise Refused("this is not a signed approval", "paste all that `interlock approve RELEASE --print` printed")
        blob = "".join(armor.partition(_END)[0].split())
        lines = [blob[i : i + 70] for i in range(0, len(blob), 70)]
        try:
            statement = Statement.model_validate_json(body.strip())
        except ValidationError as error:
            raise Refused("the signed statement cannot be read", "sign again with `interlock approve`") from error
        return cls(statement=statement, signature="\n".join([_MARK, *lines, _END]))


class Gate(Value):
    """What an approval must be about to count here."""

    release: str
    service: str
    environment: str
    question: str = Field(description="what is asked: `release`, or `go on at 10 %` when the judge holds")
    plan: str
    digest: str
    seats: tuple[tuple[str, ...], ...]
    barred: frozenset[str] = frozenset()


class Quorum(Value):
    """How far a gate is."""

    filled: dict[str, str]
    missing: tuple[tuple[str, ...], ...]
    rejected_by: str | None = None

    @property
    def reached(self) -> bool:
        """Tell whether every seat is filled and nobody said no."""
        return not self.missing and self.rejected_by is None


def signer(approval: Approval, people: People) -> Person:
    """Name the person whose key signed; raises Refused when the signature is bad, foreign or somebody else's."""
    said = approval.statement.approver
    if (person := people.named(said)) is None:
        raise Refused(f"{said} is not in people.yaml", "add the person with roles and public keys")
    if not person.keys:
        raise Refused(f"{said} has no public key in people.yaml", "add the key to its owner")
    keys = [sshsig.PublicKey.from_openssh_str(key) for key in person.keys]
    try:
        sshsig.verify(approval.statement.text.encode(), approval.signature, keys, NAMESPACE)
    except (sshsig.InvalidSignature, ValueError, NotImplementedError) as error:
        raise Refused(f"the signature does not verify with any key of {said}: {error}") from error
    return person


def admit(approval: Approval, gate: Gate, people: People, now: datetime, spent: Iterable[str] = ()) -> Person:
    """Check one approval against a gate; raises Refused with every reason it does not count."""
    statement, wrong = approval.statement, []
    person = signer(approval, people)
    for field in ("release", "service", "environment", "question", "plan", "digest"):
        if (said := getattr(statement, field)) != (wanted := getattr(gate, field)):
            wrong.append(f"it is about {field} {said}, this gate is about {wanted}")
    if statement.expires <= now:
        wrong.append(f"it expired at {statement.expires.isoformat(timespec='seconds')}")
    if statement.nonce in set(spent):
        wrong.append("it was used before")
    if {person.name, person.email} & gate.barred:
        wrong.append(f"{person.name} asked for this release or wrote part of it")
    if not any(set(person.roles) & set(seat) for seat in gate.seats):
        wrong.append(f"{person.name} holds none of the roles this gate asks for: {seats_text(gate.seats)}")
    if wrong:
        raise Refused(f"the approval of {person.name} does not count: " + "; ".join(wrong))
    return person


def quorum(approvals: Sequence[Approval], gate: Gate, people: People, now: datetime) -> Quorum:
    """Fill the seats of a gate with the approvals that count; the latest word of each person is theirs.

    Every approval is verified again from its signature. Approvals that do not count are left out, never fatal.
    """
    last: dict[str, tuple[Person, Approval]] = {}
    for approval in approvals:
        try:
            person = admit(approval, gate, people, now)
        except Refused:
            continue
        last[person.name] = (person, approval)
    no = next((name for name, (_, a) in last.items() if a.statement.decision == "reject"), None)
    filled = _seat(gate.seats, [p for p, a in last.values() if a.statement.decision == "approve"])
    missing = tuple(seat for index, seat in enumerate(gate.seats) if index not in filled)
    return Quorum(
        filled={f"{i + 1}: {' or '.join(gate.seats[i])}": p.name for i, p in sorted(filled.items())},
        missing=missing,
        rejected_by=no,
    )


def _seat(seats: Sequence[Sequence[str]], people: Sequence[Person]) -> dict[int, Person]:
    """Seat as many people as possible, one seat each (augmenting paths, Kuhn 1955)."""
    taken: dict[int, Person] = {}

    def place(person: Person, tried: set[int]) -> bool:
        for index, roles in enumerate(seats):
            if index in tried or not set(person.roles) & set(roles):
                continue
            tried.add(index)
            if index not in taken or place(taken[index], tried):
                taken[index] = person
                return True
        return False

    for person in people:
        place(person, set())
    return taken


def seats_text(seats: Sequence[Sequence[str]]) -> str:
    """Say who must approve: `tech-lead + (product-owner or sre)`."""
    return " + ".join(seat[0] if len(seat) == 1 else f"({' or '.join(seat)})" for seat in seats)
