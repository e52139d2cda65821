"""Wait for one's turn in an environment: one release changes it, the others stand in line or are turned away."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from adapters.connect import Desk, House
from domain.errors import Conflict, Refused
from domain.facts import Entry, Queued, Superseded
from domain.lease import Lease
from domain.release.queue import KINDS, ahead, may_supersede, waiting
from flows import dispatch
from flows.hold import PARK, take
from flows.lost import last_run
from tasks.step import Warrant


@contextmanager
def turn(warrant: Warrant, environment: str, desk: Desk) -> Iterator[None]:
    """Have the environment to oneself: wait in line for it, and call the next one afterwards."""
    await_turn(warrant, environment, desk)
    try:
        yield
    finally:
        call_next(warrant.service, environment, desk)


def await_turn(warrant: Warrant, environment: str, desk: Desk) -> None:
    """Return with the lease taken; suspend until somebody calls while others hold the environment or are ahead.

    What is done while it is busy its `on_busy` says: queue, refuse, or supersede what has not touched traffic yet.
    Raises Refused.
    """
    while behind := in_the_way(warrant, environment, desk) or outrun(warrant, environment, desk):
        on_busy = desk.environments[environment].on_busy
        if on_busy == "refuse":
            raise Refused(
                f"{environment} is busy: {behind}",
                f"try later, or let it queue: on_busy in environments/{environment}.yaml",
            )
        if on_busy == "supersede":
            supersede(warrant, environment, behind, desk)
        times = len(desk.journal.entries(release=warrant.release, environment=environment, kinds=("queued",)))
        warrant.note(Queued(behind=behind, reason=f"{environment} is held by {behind}"), environment)
        if in_the_way(warrant, environment, desk):
            dispatch.wait(f"turn-{environment}-{times}", PARK)


def outrun(warrant: Warrant, environment: str, desk: Desk) -> str:
    """Take the free environment; name whoever was quicker, empty when it is ours."""
    try:
        take(warrant, environment, desk, "its turn has come")
    except Conflict:
        held = desk.leases.holder(warrant.service, environment)
        return held.release if held else "somebody who has left again"
    return ""


def in_the_way(warrant: Warrant, environment: str, desk: Desk) -> str:
    """Name the release that holds the environment, or stands first in the line before it; empty: nobody does."""
    held = desk.leases.holder(warrant.service, environment)
    if _alive(held) and held and held.release != warrant.release:
        return held.release
    return next(iter(ahead(_entries(desk, warrant.service), environment, warrant.release)), "")


def supersede(warrant: Warrant, environment: str, behind: str, desk: Desk) -> None:
    """Take the place of older releases that have not touched traffic; the sweep ends them."""
    line = ahead(_entries(desk, warrant.service), environment, warrant.release)
    for older in dict.fromkeys((behind, *line)):
        if may_supersede(_entries(desk, warrant.service), environment, older, warrant.release):
            superseded = replace(warrant, release=older, carrier=None)
            superseded.note(Superseded(by=warrant.release), environment)
            dispatch.stop(last_run(desk.journal.entries(release=older, kinds=("lease taken",))))


def call_next(service: str, environment: str, house: House) -> str:
    """Wake the release that is next in line for a free environment; returns its name, empty when nobody waits."""
    if _alive(house.leases.holder(service, environment)):
        return ""
    line = waiting(_entries(house, service), environment)
    if not line:
        return ""
    called = dispatch.wake(last_run(house.journal.entries(release=line[0], kinds=("lease taken",))))
    return line[0] if called else ""


def _entries(house: House, service: str) -> tuple[Entry, ...]:
    return house.journal.entries(service=service, kinds=KINDS)


def _alive(held: Lease | None) -> bool:
    return held is not None and held.expires_in > 0
