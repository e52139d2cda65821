"""Hold what a run acts on: the release it carries, and the environment it is in, also through days of waiting."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from uuid import uuid4

from prefect.exceptions import Pause

from adapters.connect import Desk
from domain.errors import ReleaseError
from domain.lease import Lease, carrier_of
from domain.release.recall import phase_of
from domain.release.recovery import HANDED_OVER
from tasks.claim import claim
from tasks.fault import point
from tasks.step import Warrant

PARK = 30 * 86_400.0
"""Seconds that a lease lives without a run: longer than anybody is waited for."""
LIFE = uuid4().hex[:6]
"""This process, among all that a run may have: a suspended run comes back in another one."""


@contextmanager
def carried(warrant: Warrant, desk: Desk, run: str, *, force: bool = False) -> Iterator[Warrant]:
    """Be the only run, and the only process of that run, that carries the release; yields the authority to do so.

    Taken over is what this run itself left behind, and what the sweep hands on; `force` takes it from a living run,
    which only a rollback may. Raises Conflict when another run carries the release.
    """
    what, mine = carrier_of(warrant.release), f"{warrant.release}/run {run}/"
    holder, ttl = desk.leases.holder(warrant.service, what), desk.settings.lease.ttl
    force = force or handed_on(warrant) or (holder is not None and holder.owner.startswith(mine))
    lease = desk.leases.take(warrant.service, what, mine + LIFE, f"run {run}", ttl, force=force)
    point("after", "lease taken", "carrier")
    with _alive(desk, lease, lambda: False):
        yield replace(warrant, carrier=lease)


@contextmanager
def held(warrant: Warrant, environment: str, desk: Desk, reason: str, *, force: bool = False) -> Iterator[Warrant]:
    """Take the lease of an environment and keep it alive; yields the authority to act there.

    From then on every plane refuses whoever held it before. A flow that suspends leaves the lease parked, and so does
    an undo that got stuck: nobody else moves in. `force` takes a live lease over, which only a rollback may; what an
    earlier run of the same release left is taken over in any case. Otherwise the lease is given back. Raises Conflict
    when another release holds it.
    """
    lease = take(warrant, environment, desk, reason, force=force)
    point("after", "lease taken", "environment", environment)
    inside = replace(warrant, lease=lease)
    with _alive(desk, lease, lambda: _stuck(inside)):
        claim(inside, desk.ports)
        yield inside


def take(warrant: Warrant, environment: str, desk: Desk, reason: str, *, force: bool = False) -> Lease:
    """Take the lease of an environment, also from what an earlier run of this release left; raises Conflict."""
    warrant.check()
    holder = desk.leases.holder(warrant.service, environment)
    ours = holder is not None and holder.release == warrant.release
    owner = warrant.carrier.owner if warrant.carrier else warrant.release
    ttl = desk.settings.lease.ttl
    return desk.leases.take(warrant.service, environment, owner, reason, ttl, force=force or ours)


@contextmanager
def _alive(desk: Desk, lease: Lease, stays: Callable[[], bool]) -> Iterator[None]:
    """Renew a lease while the block runs, then give it back, or park it when the block waits or `stays` says so.

    A process that is terminated leaves it as it is: it expires, and the sweep finds it.
    """
    try:
        with desk.leases.keep_alive(lease, desk.settings.lease.ttl):
            yield
    except Pause:
        desk.leases.renew(lease, PARK)
        raise
    except Exception:  # whatever it was, and it is raised again: nothing must stay held by nobody
        with suppress(ReleaseError):  # a lease that is lost, or a ledger that is gone: the first error matters more
            if stays():
                desk.leases.renew(lease, PARK)
            else:
                desk.leases.give_back(lease)
        raise
    else:
        point("before", "lease returned", "", lease.environment)
        desk.leases.give_back(lease)


def handed_on(warrant: Warrant) -> bool:
    """Tell whether the sweep has taken the release over, and hands it on."""
    holder = warrant.leases.holder(warrant.service, carrier_of(warrant.release))
    return holder is not None and holder.owner.endswith(HANDED_OVER)


def _stuck(inside: Warrant) -> bool:
    return phase_of(inside.journal.entries(release=inside.release, kinds=("entered",))) == "stuck"
