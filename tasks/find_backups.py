"""Look at every backup in the store, and say whether it is kept, and why."""

from collections.abc import Collection
from typing import Protocol

from domain.ports import Journal, Leases, Ports, Store
from domain.release.retention import FOLDER, KINDS, Keep, Ruling, in_doubt, rulings, shelves
from domain.release.service import Service
from tasks.step import look


class Desk(Protocol):
    """What is needed of a desk: the ledger, the store, and which service it is about."""

    @property
    def journal(self) -> Journal: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def service(self) -> Service: ...
    @property
    def ports(self) -> Ports: ...


@look
def find_backups(desk: Desk, keep: Keep, besides: str = "") -> tuple[Ruling, ...]:
    """Rule on the backups of the desk's service, in order; `besides` is an owner of a lease that counts as nobody.

    The store is asked before the ledger: what a release does after that is not among the answers.
    """
    name = desk.service.name
    there = shelves(desk.ports.store.ages(f"{FOLDER}{name}/"))
    holders = {environment: _holder(desk, environment, besides) for environment in desk.service.environments}
    return rulings(there, desk.journal.entries(service=name, kinds=KINDS), holders, keep, desk.ports.clock.now())


@look
def find_strangers(services: Collection[str], store: Store) -> tuple[Ruling, ...]:
    """List what lies among the backups and belongs to no service that is known; all of it is kept."""
    strange = [
        it for it in shelves(store.ages(FOLDER)) if it.key.removeprefix(FOLDER).partition("/")[0] not in services
    ]
    return tuple(in_doubt(it, f"there is no service {it.service}") for it in strange)


def _holder(desk: Desk, environment: str, besides: str) -> str:
    lease = desk.leases.holder(desk.service.name, environment)
    return lease.release if lease and lease.expires_in > 0 and lease.owner != besides else ""
