"""A lease on an environment, and what its token is worth."""

from pydantic import Field

from domain.errors import Conflict
from domain.value import Value


class Lease(Value):
    """Who may change an environment just now."""

    service: str
    environment: str
    token: int
    owner: str
    reason: str
    expires_in: float = Field(description="seconds left by the database's clock; negative: expired")

    @property
    def release(self) -> str:
        """Name the release that its owner acts for."""
        return release_of(self.owner)


def carrier_of(release: str) -> str:
    """Name what a run holds while it carries a release; no environment can be called so."""
    return f"release {release}"


def release_of(owner: str) -> str:
    """Name the release that an owner acts for: an owner is a release, or `RELEASE/who acts on it`."""
    return owner.partition("/")[0]


def insist_current(held: Lease | None, service: str, environment: str, token: int) -> Lease:
    """Raise Conflict unless what is held is held under this token, and has not expired."""
    if held and held.token == token and held.expires_in > 0:
        return held
    if held is None:
        now = "nobody holds it now"
    elif held.token != token:
        now = f"{held.owner} holds it with token {held.token}: {held.reason}"
    else:
        now = f"it was {held.owner}'s and expired {abs(held.expires_in):.1f} s ago"
    raise Conflict(
        f"{service} in {environment}: the lease with token {token} is over; {now}",
        "stop here and change nothing more; whoever takes the lease next goes on from the journal",
    )


def insist_free(held: Lease | None, force: bool) -> None:
    """Raise Conflict with holder, reason and remaining time while a lease is alive; `force` takes over all the same."""
    if held is None or held.expires_in <= 0 or force:
        return
    if held.environment == carrier_of(held.release):
        raise Conflict(
            f"{held.release} is carried by another run: {held.owner.partition('/')[2].partition('/')[0]}",
            f"look at that run; should it be dead, the sweep goes on with the release in {held.expires_in:.0f} s",
        )
    raise Conflict(
        f"{held.service} in {held.environment} is held by {held.release} for another {held.expires_in:.0f} s: "
        f"{held.reason}",
        f"wait, or `interlock lease take-over {held.service} {held.environment} --reason …`",
    )
