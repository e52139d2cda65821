"""Who is on a release train, in what order, and what became of everybody."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Self

from domain.errors import Invalid
from domain.release.artifact import Commit
from domain.value import Value


class Passenger(Value):
    """A service on the train."""

    service: str
    commit: str
    subject: str
    outcome: Literal["waiting", "released", "dropped", "left behind"] = "waiting"
    why: str = ""

    def arrived(self) -> Self:
        """Mark as released."""
        return self.model_copy(update={"outcome": "released"})

    def dropped(self, why: str) -> Self:
        """Mark as red: its release failed."""
        return self.model_copy(update={"outcome": "dropped", "why": why})

    def left_behind(self, why: str) -> Self:
        """Mark as not on board when the train left."""
        return self.model_copy(update={"outcome": "left behind", "why": why})

    def row(self) -> dict[str, str]:
        """Give one line of the passenger list."""
        return {
            "service": self.service,
            "commit": self.commit[:12],
            "change": self.subject,
            "outcome": self.outcome,
            "why": self.why,
        }


def boarding(
    heads: Mapping[str, Sequence[Commit]], serving: Mapping[str, str | None], cutoff: datetime
) -> list[Passenger]:
    """Choose passengers: services whose branch has a commit at or before the cut-off that is not serving yet.

    `heads` holds each branch newest first; `serving` the commit that serves at the train's destination.
    """
    passengers = []
    for service, commits in heads.items():
        in_time = next((c for c in commits if datetime.fromisoformat(c.at) <= cutoff), None)
        if in_time and in_time.sha != serving.get(service):
            passengers.append(Passenger(service=service, commit=in_time.sha, subject=in_time.subject))
    return passengers


def departure(passengers: Sequence[Passenger], needs: Mapping[str, Sequence[str]]) -> list[Passenger]:
    """Order passengers so that everyone leaves after those they need. Raises Invalid naming a circle."""
    waiting = {passenger.service: passenger for passenger in passengers}
    ordered: list[Passenger] = []
    while waiting:
        ready = [name for name in sorted(waiting) if not set(needs.get(name, ())) & waiting.keys()]
        if not ready:
            raise Invalid(f"services need each other in a circle: {', '.join(sorted(waiting))}", "mend `needs`")
        ordered += [waiting.pop(name) for name in ready]
    return ordered


def blocked_by(passenger: Passenger, needs: Mapping[str, Sequence[str]], dropped: Mapping[str, str]) -> str | None:
    """Tell which dropped passenger keeps this one off the train; None when nothing does."""
    return next((name for name in needs.get(passenger.service, ()) if name in dropped), None)
