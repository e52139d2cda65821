"""Where requests go: two slots, blue and green, and one number that splits the traffic between them.

The share is green's, in basis points. One number means that every change of traffic, promotion and rollback
included, is a single atomic command at the router; there is no moment at which two settings disagree.
"""

from typing import Annotated, Literal

from pydantic import Field

from domain.canary.tick import Arm
from domain.value import Value

Slot = Literal["blue", "green"]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]


def other(slot: Slot) -> Slot:
    """Name the slot across."""
    return "green" if slot == "blue" else "blue"


class Endpoint(Value):
    """One replica as the router addresses it."""

    name: str
    address: str
    port: int


class Route(Value):
    """The wanted traffic of one service in one environment."""

    name: str = Field(description="service-environment, unique on the router")
    port: int = Field(description="where users connect")
    health: str = "/healthz"
    blue: tuple[Endpoint, ...] = ()
    green: tuple[Endpoint, ...] = ()
    green_share: BasisPoints = 0
    segments: dict[str, Slot] = Field(default_factory=dict, description="x-segment header value → slot")

    def endpoints(self, slot: Slot) -> tuple[Endpoint, ...]:
        """List the replicas in a slot."""
        return self.blue if slot == "blue" else self.green

    def share(self, slot: Slot) -> int:
        """Tell a slot's share in basis points."""
        return self.green_share if slot == "green" else 10_000 - self.green_share

    def giving(self, slot: Slot, basis_points: int) -> "Route":
        """Return the route with this share for a slot."""
        return self.model_copy(update={"green_share": basis_points if slot == "green" else 10_000 - basis_points})

    def holding(self, slot: Slot, endpoints: tuple[Endpoint, ...]) -> "Route":
        """Return the route with these replicas in a slot."""
        return self.model_copy(update={slot: endpoints})

    def without(self, slot: Slot, name: str) -> "Route":
        """Return the route without one replica of a slot."""
        return self.holding(slot, tuple(endpoint for endpoint in self.endpoints(slot) if endpoint.name != name))

    @property
    def leading(self) -> Slot:
        """Name the slot with most of the traffic."""
        return "green" if self.green_share > 5_000 else "blue"

    def arm(self, slot: Slot, candidate: Slot) -> Arm:
        """Tell which arm of a canary a slot is."""
        return "candidate" if slot == candidate else "stable"
