"""Clear away what the products keep in our name and nobody owns; each removal is a fact with its reason."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from domain.environment.orphans import Orphan, Place
from domain.errors import Conflict
from domain.facts import Cleared
from tasks.find_orphans import Desk, search

_TTL = 300.0  # seconds: a few containers are stopped and removed in this time
_NOBODY = "clear-away"  # in place of a release, where none is behind it


def clear_away(desk: Desk, *, everywhere: bool = False, actor: str = "interlock") -> tuple[Orphan, ...]:
    """Remove what `find_orphans` lists; return what was removed. Safe to call twice, and at any time.

    Where a lease guards it the lease is held, and everything is looked at again under it. Where somebody else holds
    it, and where something came into use since, it stays.
    """
    me = f"{_NOBODY}/{actor}"
    removed: list[Orphan] = []
    for place in dict.fromkeys(place for _, _, place in search(desk, everywhere)):
        with suppress(Conflict), _alone(desk, place, me) as token:
            for orphan, keeper, guarded_by in search(desk, everywhere, besides=me):
                if guarded_by == place and keeper.discard(orphan.belonging, token):
                    _record(desk, orphan, place, token, actor)
                    removed.append(orphan)
    return tuple(removed)


@contextmanager
def _alone(desk: Desk, place: Place | None, owner: str) -> Iterator[int]:
    """Hold the lease of a place, if one guards it; yields its token. Raises Conflict when somebody else holds it."""
    if place is None:
        yield 0
        return
    lease = desk.leases.take(*place, owner, "clearing away what nobody owns", _TTL)
    try:
        yield lease.token
    finally:
        desk.leases.give_back(lease)


def _record(desk: Desk, orphan: Orphan, place: Place | None, token: int, actor: str) -> None:
    it = orphan.belonging
    service, environment = place or (it.service or desk.service.name, it.environment)
    desk.journal.append(
        Cleared(what=it.says, reason=orphan.reason),
        actor=actor,
        release=it.release or _NOBODY,
        service=service,
        environment=environment,
        token=token,
    )
