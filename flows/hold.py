"""Hold an environment while a release acts in it, also through the days it may wait for people."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from prefect.exceptions import Pause

from adapters.connect import Desk
from domain.errors import ReleaseError
from domain.facts import Phase
from domain.release.recall import phase_of
from tasks.step import Warrant

PARKED: frozenset[Phase] = frozenset({"stuck"})


@contextmanager
def held(
    warrant: Warrant,
    environment: str,
    desk: Desk,
    reason: str,
    *,
    owner: str = "",
    park: float = 86_400,
    force: bool = False,
) -> Iterator[Warrant]:
    """Take the lease of an environment and keep it alive; yields the authority to act there.

    A flow that suspends leaves the lease parked for `park` seconds, and so does an undo that got stuck: nobody else
    moves in. `force` takes a live lease over, which only a rollback may. Otherwise the lease is given back. Raises
    Conflict when somebody else holds the environment.
    """
    ttl = desk.settings.lease.ttl
    lease = desk.leases.take(warrant.service, environment, owner or warrant.release, reason, ttl, force=force)
    inside = replace(warrant, lease=lease)
    try:
        with desk.leases.keep_alive(lease, ttl):
            yield inside
    except Pause:
        desk.leases.renew(lease, park)
        raise
    except Exception:  # whatever it was, and it is raised again: the environment must not stay held by nobody
        with suppress(ReleaseError):  # a lease that is lost, or a ledger that is gone: the first error matters more
            _leave(inside, desk, park)
        raise
    else:
        desk.leases.give_back(lease)


def _leave(inside: Warrant, desk: Desk, park: float) -> None:
    assert inside.lease is not None  # held() has just set it
    if phase_of(desk.journal.entries(release=inside.release, kinds=("entered",))) in PARKED:
        desk.leases.renew(inside.lease, park)
    else:
        desk.leases.give_back(inside.lease)
