"""What the products keep in our name and nobody owns any more.

An orphan carries our label or our name, stands nowhere by the ledger, and belongs to no release that may still want it.
Whatever is not surely one is left alone; what carries no label of ours is never even looked at.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from domain.facts import Done, Entry
from domain.release import standing, state
from domain.release.artifact import Artifact
from domain.release.outcomes import Built
from domain.value import Value

Kind = Literal["container", "network", "volume", "image", "route", "database", "object"]
Place = tuple[str, str]

KINDS = ("opened", "planned", "entered", "done", "now serving")
"""The facts of the journal that `estate` reads."""

_GRACE = {"database": 60.0, "object": 3600.0}
"""Seconds for which what names no owner is left to whoever began it.

Whoever makes a scratch database is connected to it from the first second to the last; an upload shows no such sign.
"""
_BUILD = "build"  # the environment of checks that run before anything is published: Plan.trial


class Belonging(Value):
    """Something that a product keeps in our name, as its labels or its name say."""

    kind: Kind
    id: str
    name: str
    service: str = ""
    environment: str = ""
    release: str = ""
    address: str = Field(default="", description="of a container on its network")
    age: float = Field(default=0.0, description="seconds")
    in_use: bool = Field(default=False, description="somebody is connected, attached or writing just now")

    @property
    def says(self) -> str:
        """Name it: `container shop-dev-green-0`."""
        return f"{self.kind} {self.name}"


class Orphan(Value):
    """A belonging without an owner, and why."""

    belonging: Belonging
    reason: str


class Estate(Value):
    """What is owned, by the ledger and by the router."""

    over: frozenset[str] = Field(default=frozenset(), description="releases that are over")
    under_way: frozenset[str] = Field(default=frozenset(), description="releases that are not")
    busy: frozenset[str] = Field(default=frozenset(), description="services with a release under way")
    held: frozenset[Place] = Field(default=frozenset(), description="places that somebody holds or changes")
    places: frozenset[Place] = Field(default=frozenset(), description="every service in every environment")
    environments: frozenset[str] = Field(default=frozenset(), description="declared, or where something stands")
    replicas: frozenset[str] = Field(default=frozenset(), description="names of those that stand")
    images: frozenset[str] = Field(default=frozenset(), description="that were published or stand somewhere")
    routes: frozenset[str] = Field(default=frozenset(), description="names of those that stand")
    addresses: frozenset[str] = Field(default=frozenset(), description="that the router sends requests to")

    def place(self, belonging: Belonging) -> Place | None:
        """Find the service and environment whose lease guards a belonging; None: none does."""
        if belonging.kind == "route":
            return next((place for place in sorted(self.places) if belonging.name == "-".join(place)), None)
        place = (belonging.service, belonging.environment)
        return place if place in self.places else None

    def may_want(self, belonging: Belonging) -> bool:
        """Tell whether a release that is not over, or a holder of its place, may count on a belonging."""
        if belonging.release in self.under_way or self.place(belonging) in self.held:
            return True
        place = self.place(belonging)
        service = place[0] if place else belonging.service
        return belonging.release not in self.over and (service in self.busy or (not service and bool(self.busy)))


def estate(
    entries: Sequence[Entry],
    environments: Iterable[str],
    held: Iterable[Place] = (),
    addresses: Iterable[str] = (),
) -> Estate:
    """Fold the journal's entries of KINDS into what is owned.

    `environments` are the declared ones, `held` the places with a live lease, `addresses` those the router leads to.
    """
    releases = state.fold(entries)
    known = {*environments, *(entry.environment for entry in entries if entry.environment)}
    told: dict[Place, list[Entry]] = {(entry.service, name): [] for entry in entries for name in known}
    for entry in entries:
        told.get((entry.service, entry.environment), []).append(entry)
    stands = {place: standing.fold(facts) for place, facts in told.items()}
    deployed = [d for stand in stands.values() for d in (stand.blue, stand.green) if d]
    changed = {(it.service, it.environment) for it in releases.values() if it.phase in state.CHANGING}
    return Estate(
        over=frozenset(it.release for it in releases.values() if it.over),
        under_way=frozenset(it.release for it in releases.values() if not it.over),
        busy=frozenset(it.service for it in releases.values() if not it.over),
        held=frozenset({*held, *changed}),
        places=frozenset(stands),
        environments=frozenset({*environments, *(e for (_, e), it in stands.items() if it.blue or it.green)}),
        replicas=frozenset(replica.name for it in deployed for replica in it.replicas),
        images=frozenset(image for entry in entries for image in _images(entry)),
        routes=frozenset(stand.route.name for stand in stands.values() if stand.route),
        addresses=frozenset(addresses),
    )


def orphans(belongings: Iterable[Belonging], owned: Estate) -> tuple[Orphan, ...]:
    """List what nobody owns, by kind and name."""
    idle = (it for it in belongings if not it.in_use)
    found = [Orphan(belonging=it, reason=why) for it in idle if (why := _abandoned(it) or _unowned(it, owned))]
    return tuple(sorted(found, key=lambda orphan: (orphan.belonging.kind, orphan.belonging.name, orphan.belonging.id)))


def _abandoned(it: Belonging) -> str | None:
    """Say why nobody wants what names no owner: it is old, and nobody is connected or writing."""
    old = it.age >= _GRACE.get(it.kind, math.inf)
    return f"whoever began it {it.age / 60:.0f} min ago is gone" if old else None


def _unowned(it: Belonging, owned: Estate) -> str | None:
    """Say why nobody owns what does name an owner; None when somebody does, or may.

    A network that names no environment is the stack's own, such as its gateway; a volume that names no release is an
    environment's own, such as the one that keeps its fencing token.
    """
    if owned.may_want(it):
        return None
    stands = it.name in owned.replicas or it.address in owned.addresses
    ended = f"{it.release} is over" if it.release in owned.over else "no release of this ledger made it"
    match it.kind:
        case "container" | "volume" if not stands and (it.release or it.kind == "container"):
            return ended
        case "image" if it.release in owned.over and it.id not in owned.images and it.service not in owned.busy:
            return f"{ended} and never published it"
        case "network" if it.environment not in {"", _BUILD, *owned.environments}:
            return f"there is no environment {it.environment}"
        case "route" if it.name not in owned.routes:
            return "nothing stands behind it"
    return None


def _images(entry: Entry) -> Iterable[str]:
    """Name the image that a fact says is in the registry."""
    match entry.fact:
        case Done(verb="publish", outcome=outcome):
            yield Artifact.model_validate(outcome).image
        case Done(verb="build", outcome=outcome) if published := Built.model_validate(outcome).published:
            yield published.image
