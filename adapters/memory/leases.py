"""Leases in memory, on the clock of their journal."""

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.memory.journal import Held, MemoryJournal
from domain.facts import LeaseReturned, LeaseTaken
from domain.lease import Lease, insist_free, release_of


class MemoryLeases:
    """The Leases port over a MemoryJournal; every change of hands is a fact in it."""

    def __init__(self, journal: MemoryJournal) -> None:
        self._journal = journal

    def take(
        self, service: str, environment: str, owner: str, reason: str, ttl: float, *, force: bool = False
    ) -> Lease:
        """Take, renew one's own, or take over; see the port."""
        journal, place = self._journal, (service, environment)
        with journal.lock:
            before = journal.current(service, environment)
            if before and before.expires_in > 0 and before.owner == owner:
                lease, held = before.model_copy(update={"reason": reason, "expires_in": ttl}), journal.held[place]
                held.lease, held.expires_at = lease, journal.clock.now() + ttl
                return lease
            insist_free(before, force)
            token = journal.newest_token.get(place, 0) + 1
            lease = Lease(
                service=service, environment=environment, token=token, owner=owner, reason=reason, expires_in=ttl
            )
            journal.held[place] = Held(lease, journal.clock.now() + ttl)
            fact = LeaseTaken(owner=owner, reason=reason, took_over_from=before.owner if before else None)
            journal.write(fact, owner, release_of(owner), service, environment, token)
            return lease

    def renew(self, lease: Lease, ttl: float) -> Lease:
        """Extend; see the port."""
        with self._journal.lock:
            if held := self._held(lease):
                held.expires_at = self._journal.clock.now() + ttl
            else:
                self.check(lease)
        return lease.model_copy(update={"expires_in": ttl})

    def check(self, lease: Lease) -> None:
        """Raise Conflict unless the token is current and not expired."""
        with self._journal.lock:
            self._journal.insist_current(lease.service, lease.environment, lease.token)

    @contextmanager
    def keep_alive(self, lease: Lease, ttl: float) -> Iterator[None]:
        """Keep it alive for as long as the block runs, whatever the clock does; then it has `ttl` seconds left.

        No thread and no beat: a heart in real time would miss hours of virtual time.
        """
        with self._journal.lock:
            if held := self._held(lease):
                held.alive.append(ttl)
        try:
            yield
        finally:
            with self._journal.lock:
                if held:
                    held.alive.remove(ttl)
                    held.expires_at = self._journal.clock.now() + ttl

    def give_back(self, lease: Lease) -> None:
        """Free the environment; nothing happens when somebody else holds it by now."""
        with self._journal.lock:
            if self._held(lease):
                where = lease.service, lease.environment
                del self._journal.held[where]
                self._journal.write(LeaseReturned(), lease.owner, release_of(lease.owner), *where, lease.token)

    def holder(self, service: str, environment: str) -> Lease | None:
        """Tell who holds it, also when it has expired; None when it is free."""
        with self._journal.lock:
            return self._journal.current(service, environment)

    def _held(self, lease: Lease) -> Held | None:
        held = self._journal.held.get((lease.service, lease.environment))
        return held if held and held.lease.token == lease.token else None
