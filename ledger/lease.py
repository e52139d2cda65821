"""The lease in SQL: one writer per service and environment, and the heartbeat that keeps it alive."""

import threading
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from domain.errors import Conflict, Unavailable
from domain.facts import LeaseReturned, LeaseTaken
from domain.lease import Lease, insist_current, insist_free, release_of
from domain.ports import Leases
from ledger.journal import current, write
from ledger.open import Ledger
from ledger.tables import JOURNAL, LEASE


class SqlLeases:
    """The Leases port on a ledger; every change of hands is a fact, written in the same transaction.

    An owner is a release, or `RELEASE/who acts on it`: the facts carry the owner as actor, and the release as release.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def take(
        self, service: str, environment: str, owner: str, reason: str, ttl: float, *, force: bool = False
    ) -> Lease:
        """Take, renew one's own, or take over; see the port."""
        with self._ledger.writing() as connection:
            held = current(connection, self._ledger, service, environment)
            if held and held.expires_in > 0 and held.owner == owner:
                lease = held.model_copy(update={"reason": reason, "expires_in": ttl})
                connection.execute(
                    update(LEASE).where(*_is(lease)).values(reason=reason, expires_at=self._ledger.now + ttl)
                )
                return lease
            insist_free(held, force)
            return self._hand_over(connection, service, environment, owner, reason, ttl, held)

    def _hand_over(
        self,
        connection: Connection,
        service: str,
        environment: str,
        owner: str,
        reason: str,
        ttl: float,
        before: Lease | None,
    ) -> Lease:
        # The journal holds every token ever given, and forgets none: the next one is always larger.
        ever = select(func.max(JOURNAL.c.token)).where(
            JOURNAL.c.service == service, JOURNAL.c.environment == environment
        )
        token = (connection.scalar(ever) or 0) + 1
        lease = Lease(service=service, environment=environment, token=token, owner=owner, reason=reason, expires_in=ttl)
        if before:
            connection.execute(delete(LEASE).where(*_is(before)))
        connection.execute(
            insert(LEASE).values(**lease.model_dump(exclude={"expires_in"}), expires_at=self._ledger.now + ttl)
        )
        fact = LeaseTaken(owner=owner, reason=reason, took_over_from=before.owner if before else None)
        write(connection, self._ledger, fact, owner, release_of(owner), service, environment, token)
        return lease

    def renew(self, lease: Lease, ttl: float) -> Lease:
        """Extend; see the port."""
        with self._ledger.writing() as connection:
            renewal = update(LEASE).where(*_is(lease)).values(expires_at=self._ledger.now + ttl)
            if not connection.execute(renewal).rowcount:
                self._insist(connection, lease)
        return lease.model_copy(update={"expires_in": ttl})

    def check(self, lease: Lease) -> None:
        """Raise Conflict unless the token is current and not expired."""
        with self._ledger.reading() as connection:
            self._insist(connection, lease)

    def keep_alive(self, lease: Lease, ttl: float) -> "Heartbeat":
        """Renew every third of `ttl` while the block runs."""
        return Heartbeat(self, lease, ttl)

    def give_back(self, lease: Lease) -> None:
        """Free the environment; nothing happens when somebody else holds it by now."""
        with self._ledger.writing() as connection:
            if connection.execute(delete(LEASE).where(*_is(lease))).rowcount:
                who, where = lease.owner, (lease.service, lease.environment)
                write(connection, self._ledger, LeaseReturned(), who, release_of(who), *where, lease.token)

    def holder(self, service: str, environment: str) -> Lease | None:
        """Tell who holds it, also when it has expired; None when it is free."""
        with self._ledger.reading() as connection:
            return current(connection, self._ledger, service, environment)

    def _insist(self, connection: Connection, lease: Lease) -> None:
        held = current(connection, self._ledger, lease.service, lease.environment)
        insist_current(held, lease.service, lease.environment, lease.token)


def _is(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return (
        LEASE.c.service == lease.service,
        LEASE.c.environment == lease.environment,
        LEASE.c.token == lease.token,
    )


class Heartbeat:
    """Keeps a lease alive from a thread of its own, a renewal every third of `ttl` seconds, while the block runs.

    A ledger that does not answer is asked again at the next beat. When the lease is somebody else's by now the beat
    stops and `lost` says so; the journal refuses what is written under the old token in any case.
    """

    def __init__(self, leases: Leases, lease: Lease, ttl: float) -> None:
        self.lost: Conflict | None = None
        self._leases, self._lease, self._ttl = leases, lease, ttl
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._beat, name=f"lease {lease.service}/{lease.environment}", daemon=True
        )

    def __enter__(self) -> Self:
        """Start beating."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop beating; the lease stays as it is."""
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._ttl / 3):
            try:
                self._leases.renew(self._lease, self._ttl)
            except Unavailable:
                continue
            except Conflict as lost:
                self.lost = lost
                return
