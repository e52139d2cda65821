"""What the journal keeps: typed facts that are never changed."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from domain.canary.tick import Tick
from domain.canary.verdict import Verdict
from domain.environment.drift import Drift
from domain.policy.approval import Approval, Gate
from domain.release.plan import Plan, Request, Settled
from domain.value import Value

Phase = Literal[
    "planned",
    "built",
    "awaiting approval",
    "approved",
    "deploying",
    "baking",
    "settled",
    "released",
    "rolling back",
    "rolled back",
    "aborted",
    "stuck",
]


class Opened(Value):
    """Somebody asked for a release."""

    kind: Literal["opened"] = "opened"
    request: Request
    run: str = Field(description="the Prefect flow run that asked")


class Planned(Value):
    """The plan was drawn up."""

    kind: Literal["planned"] = "planned"
    plan: Plan
    hash: str


class Entered(Value):
    """The release reached a phase; only legal transitions are accepted by the journal."""

    kind: Literal["entered"] = "entered"
    phase: Phase
    reason: str = ""


class Intended(Value):
    """A step is about to change the world."""

    kind: Literal["intended"] = "intended"
    key: str
    verb: str


class Done(Value):
    """A step has changed the world, or found it changed."""

    kind: Literal["done"] = "done"
    key: str
    verb: str
    outcome: dict[str, Any]
    observed: bool = Field(default=False, description="True: the effect was found in the world, not repeated")


class Failed(Value):
    """A step could not be done."""

    kind: Literal["failed"] = "failed"
    key: str
    verb: str
    error: str
    message: str


class GateOpened(Value):
    """The release waits for people."""

    kind: Literal["gate opened"] = "gate opened"
    gate: Gate
    round: int


class Approved(Value):
    """A signed statement, approving or rejecting; `round` is 0 when it did not come through the Prefect form."""

    kind: Literal["approved"] = "approved"
    approval: Approval
    round: int = 0


class NotCounted(Value):
    """Something was handed in as an approval and did not count."""

    kind: Literal["not counted"] = "not counted"
    question: str
    reason: str
    round: int


class Queued(Value):
    """The release waits for an environment."""

    kind: Literal["queued"] = "queued"
    behind: str = Field(description="the release that holds it")
    reason: str = ""


class Superseded(Value):
    """A newer release takes this one's place in an environment."""

    kind: Literal["superseded"] = "superseded"
    by: str
    reason: str = ""


class LeaseTaken(Value):
    """An environment is held by one writer."""

    kind: Literal["lease taken"] = "lease taken"
    owner: str
    reason: str
    took_over_from: str | None = None


class LeaseReturned(Value):
    """The environment is free again."""

    kind: Literal["lease returned"] = "lease returned"


class Recovered(Value):
    """The run of the release was gone; what was decided then."""

    kind: Literal["recovered"] = "recovered"
    lost: str = Field(description="the Prefect flow run that carried it")
    fate: str = Field(description="how that run ended: died, cancelled or failed")
    action: str
    reason: str


class Remarked(Value):
    """A person said something about the release, such as why it was cancelled."""

    kind: Literal["remarked"] = "remarked"
    text: str = Field(min_length=1)


class Looked(Value):
    """The judge looked once, at this share of traffic and with the next one in mind (basis points)."""

    kind: Literal["looked"] = "looked"
    share: int
    next_share: int
    tick: Tick


class Judged(Value):
    """The judge decided at one share of traffic."""

    kind: Literal["judged"] = "judged"
    share: int
    verdict: Verdict


class NowServing(Value):
    """What serves in the environment from here on."""

    kind: Literal["now serving"] = "now serving"
    settled: Settled | None = Field(description="none: the first release was taken back, and nothing serves")


class Announced(Value):
    """People were told; delivery itself is the outbox's business."""

    kind: Literal["announced"] = "announced"
    occasion: str
    about: str = ""
    groups: tuple[str, ...]


class Compared(Value):
    """The ledger was held against the world; no drifts: they were the same."""

    kind: Literal["compared"] = "compared"
    drifts: tuple[Drift, ...]
    reason: str = ""
    run: str = Field(description="the Prefect flow run that looked")


class Cleared(Value):
    """Something that nobody owned was removed."""

    kind: Literal["cleared"] = "cleared"
    what: str
    reason: str


class BackupHeld(Value):
    """A person wants a backup to be kept until it is freed."""

    kind: Literal["backup held"] = "backup held"
    key: str = Field(description="the name of dump and manifest in the store, without their endings")
    reason: str = Field(min_length=1)


class BackupFreed(Value):
    """A person does not hold a backup any more."""

    kind: Literal["backup freed"] = "backup freed"
    key: str
    reason: str = Field(min_length=1)


class BackupLetGo(Value):
    """A backup is about to be removed; a hold that stands before this in the journal still keeps it."""

    kind: Literal["backup let go"] = "backup let go"
    key: str
    objects: tuple[str, ...] = Field(description="what is removed of it, in this order")
    reason: str


Fact = Annotated[
    Opened
    | Planned
    | Entered
    | Intended
    | Done
    | Failed
    | GateOpened
    | Approved
    | NotCounted
    | Queued
    | Superseded
    | LeaseTaken
    | LeaseReturned
    | Recovered
    | Remarked
    | Looked
    | Judged
    | NowServing
    | Announced
    | Compared
    | Cleared
    | BackupHeld
    | BackupFreed
    | BackupLetGo,
    Field(discriminator="kind"),
]
FACT: TypeAdapter[Fact] = TypeAdapter(Fact)


class Entry(Value):
    """A fact in its place in the journal."""

    seq: int
    at: str = Field(description="the database's clock, ISO 8601 UTC")
    actor: str
    release: str
    service: str
    environment: str = ""
    token: int = Field(default=0, description="fencing token under which it was written; 0: none needed")
    fact: Fact
    previous: str
    hash: str
