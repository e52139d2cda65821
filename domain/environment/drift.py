"""A difference between ledger and world, in words, and the one thing that would mend it."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from domain.canonical import sha256
from domain.release.artifact import Deployment, Replica
from domain.release.route import Route
from domain.value import Value

Plane = Literal["image", "config", "replicas", "route", "schema"]


class Seen(Value):
    """One service in one environment, as engine, router and database report it."""

    replicas: tuple[Replica, ...] = Field(default=(), description="stopped ones included")
    route: Route | None = Field(default=None, description="None: the router knows no such route")
    fingerprint: str | None = Field(default=None, description="of the schema; None without a database")
    migrations: tuple[int, ...] | None = Field(default=None, description="numbers applied; None without a database")


class StartMissing(Value):
    """Start what a deployment lacks; what runs already stays."""

    kind: Literal["start missing"] = "start missing"
    deployment: Deployment

    @property
    def says(self) -> str:
        """Say it as an operator would."""
        return f"start what {self.deployment.version} lacks in slot {self.deployment.slot}"


class ReplaceReplicas(Value):
    """Take replicas that are not what they should be off the router, stop them, and start the right ones instead."""

    kind: Literal["replace replicas"] = "replace replicas"
    deployment: Deployment
    replicas: tuple[Replica, ...]
    around: Route | None = Field(description="the route without them; None: nobody else is in their slot to take over")

    @property
    def says(self) -> str:
        """Say it as an operator would."""
        return f"replace {' and '.join(r.name for r in self.replicas)} by {self.deployment.version}"


class ApplyRoute(Value):
    """Have the router do what the ledger says, with the replicas where they are now."""

    kind: Literal["apply route"] = "apply route"
    route: Route

    @property
    def says(self) -> str:
        """Say it as an operator would."""
        return f"apply route {self.route.name}"


class StopStray(Value):
    """Stop and remove a replica that no deployment wants."""

    kind: Literal["stop stray"] = "stop stray"
    replica: Replica

    @property
    def says(self) -> str:
        """Say it as an operator would."""
        return f"stop {self.replica.name}"


Repair = Annotated[StartMissing | ReplaceReplicas | ApplyRoute | StopStray, Field(discriminator="kind")]


class Drift(Value):
    """One plane that is not as the ledger says; without a repair a person must decide, and `reason` says why."""

    plane: Plane
    expected: str
    seen: str
    repair: Repair | None = None
    reason: str = ""

    @property
    def row(self) -> dict[str, str]:
        """Give the line of a table."""
        then = self.repair.says if self.repair else f"a person must decide: {self.reason}"
        return {"plane": self.plane, "the ledger says": self.expected, "the world shows": self.seen, "repair": then}


def report_hash(drifts: Sequence[Drift]) -> str:
    """Name a report by its content, as a plan is: 64 hex digits, which is what people sign."""
    return sha256([drift.model_dump(mode="json") for drift in drifts])


def says(drifts: Sequence[Drift]) -> str:
    """Put a report into half a sentence."""
    if not drifts:
        return "the world is as the ledger says"
    planes = ", ".join(dict.fromkeys(drift.plane for drift in drifts))
    return f"{len(drifts)} {'difference' if len(drifts) == 1 else 'differences'} between ledger and world: {planes}"


def markdown(drifts: Sequence[Drift]) -> str:
    """Put a report into a table, for a form."""
    rows = [drift.row for drift in drifts]
    head = [f"| {' | '.join(rows[0])} |", "|---|---|---|---|"] if rows else []
    return "\n".join([*head, *(f"| {' | '.join(row.values())} |" for row in rows)])


def reconciliation(service: str, environment: str, run: str) -> str:
    """Name what stands in the journal in a release's place while a run compares, and perhaps repairs."""
    return f"{service}-{environment}-reconcile-{run[:8]}"
