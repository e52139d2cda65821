"""Ask every product what it keeps in our name, and tell what nobody owns."""

from collections.abc import Mapping
from typing import Protocol

from domain.environment.orphans import KINDS, Belonging, Estate, Orphan, Place, estate, orphans
from domain.environment.profile import Environment
from domain.ports import Journal, Keeper, Leases, Ports
from domain.release.service import Service
from tasks.step import look

Kept = Mapping[tuple[str, str], tuple[Keeper, Belonging]]


class Desk(Protocol):
    """What is needed of a desk: the ledger, the products, and which environments there are."""

    @property
    def journal(self) -> Journal: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def service(self) -> Service: ...
    @property
    def ports(self) -> Ports: ...
    @property
    def environments(self) -> Mapping[str, Environment]: ...


@look
def find_orphans(desk: Desk, *, everywhere: bool = False) -> tuple[Orphan, ...]:
    """List what nobody owns of the desk's service, or, `everywhere`, of all that its products keep in our name."""
    return tuple(orphan for orphan, _, _ in search(desk, everywhere))


def search(desk: Desk, everywhere: bool, besides: str = "") -> list[tuple[Orphan, Keeper, Place | None]]:
    """Find orphans, who keeps each, and the place whose lease guards it; `besides` is an owner that counts as nobody.

    The products are asked before the ledger: what a release begins after that is not among the answers.
    """
    kept = _kept(desk.ports)
    owned = _owned(desk, kept, besides)
    mine = [it for _, it in kept.values() if everywhere or _is_of(desk.service.name, it, owned)]
    return [(it, kept[_key(it.belonging)][0], owned.place(it.belonging)) for it in orphans(mine, owned)]


def _kept(ports: Ports) -> Kept:
    """Ask every product; one engine may be behind two ports, and one server behind several databases."""
    keepers: tuple[Keeper, ...] = (ports.builder, ports.workload, ports.router, ports.store, *ports.databases.values())
    products = {id(keeper): keeper for keeper in keepers}.values()
    return {_key(it): (keeper, it) for keeper in products for it in keeper.belongings()}


def _key(it: Belonging) -> tuple[str, str]:
    return it.kind, it.id


def _owned(desk: Desk, kept: Kept, besides: str) -> Estate:
    routes = [desk.ports.router.observe(it.name) for _, it in kept.values() if it.kind == "route"]
    addresses = {endpoint.address for route in routes if route for endpoint in (*route.blue, *route.green)}
    owned = estate(desk.journal.entries(kinds=KINDS), desk.environments, addresses=addresses)
    leases = {place: desk.leases.holder(*place) for place in owned.places}
    live = {place for place, lease in leases.items() if lease and lease.expires_in > 0 and lease.owner != besides}
    return owned.model_copy(update={"held": owned.held | live})


def _is_of(service: str, it: Belonging, owned: Estate) -> bool:
    place = owned.place(it)
    return it.kind == "database" or service == (place[0] if place else it.service)
