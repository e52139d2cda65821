"""Every service, environment and person, and what must hold between them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar

from config.read import did_you_mean
from domain.data.copy import Copy
from domain.environment.profile import Environment
from domain.errors import Invalid
from domain.policy.people import People
from domain.release.measure import Measure, PrometheusSpec
from domain.release.service import Placement, Service
from domain.value import Value

T = TypeVar("T")


class Catalog(Value):
    """All that the config folder describes."""

    services: dict[str, Service] = {}
    environments: dict[str, Environment] = {}
    people: People = People()
    copies: dict[str, Copy] = {}

    def service(self, name: str) -> Service:
        """Find a service. Raises Invalid that names the known ones."""
        return _find("service", name, self.services)

    def environment(self, name: str) -> Environment:
        """Find an environment. Raises Invalid that names the known ones."""
        return _find("environment", name, self.environments)

    def copy_of(self, name: str) -> Copy:
        """Find a copy of a database. Raises Invalid that names the known ones."""
        return _find("copy", name, self.copies)


def contradictions(catalog: Catalog, unread: frozenset[str] = frozenset()) -> Iterator[str]:
    """Say what does not fit together, one line each, `file: path: message`.

    `unread` are files, such as `services/shop.yaml`, that are there and wrong: what they describe is not missing.
    """
    yield from _environments(catalog, unread)
    yield from _services(catalog, unread)
    yield from _ports(catalog.services)
    yield from _people(catalog.people)
    yield from _copies(catalog)


def _find(what: str, name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        near = "".join(f"did you mean {other!r}? " for other in get_close_matches(name, known, n=1))
        raise Invalid(f"{what} {name!r} does not exist", f"{near}known: {', '.join(sorted(known)) or 'none'}")
    return known[name]


def _environments(catalog: Catalog, unread: frozenset[str]) -> Iterator[str]:
    before = {name: (it.after,) if it.after else () for name, it in catalog.environments.items()}
    yield from _order("environments", "after", before, unread)
    roles = {role for person in catalog.people.people for role in person.roles}
    if not catalog.people.people or "people.yaml" in unread:
        return
    for name, environment in catalog.environments.items():
        for index, seat in enumerate(environment.seats):
            if not roles & set(seat):
                wanted = " or ".join(seat)
                yield f"environments/{name}.yaml: seats.{index}: nobody is {wanted}; {did_you_mean(wanted, roles)}"


def _services(catalog: Catalog, unread: frozenset[str]) -> Iterator[str]:
    yield from _order("services", "needs", {name: it.needs for name, it in catalog.services.items()}, unread)
    for name, service in catalog.services.items():
        file, places = f"services/{name}.yaml", service.environments
        for place in places:
            if environment := catalog.environments.get(place):
                before = environment.after
                if before in catalog.environments and before not in places:
                    yield f"{file}: environments.{before}: missing; no release reaches {place} without it"
            elif f"environments/{place}.yaml" not in unread:
                hint = did_you_mean(place, catalog.environments)
                yield f"{file}: environments.{place}: there is no such environment; {hint}"
        for check, spec in service.checks.items():
            for index, place in enumerate(spec.environments):
                if place not in places:
                    hint = did_you_mean(place, places)
                    yield f"{file}: checks.{check}.environments.{index}: {name} has no such environment; {hint}"
        for place, placement in places.items():
            yield from (f"{file}: environments.{place}.measure.{said}" for said in _measures(placement))


def _measures(placement: Placement) -> Iterator[str]:
    """Check that every KPI has a database to be counted in, and that nothing is measured twice under one name."""
    measure = placement.measure or Measure()
    traffic = measure.traffic
    if isinstance(traffic, PrometheusSpec):
        for name in sorted(traffic.kpi.keys() & measure.kpi.keys()):
            yield f"kpi.{name}: is counted by Prometheus, too; name one of them differently"
        for name in sorted(traffic.gauges.keys() & {"cpu", "memory"} if measure.gauges else ()):
            yield f"traffic.gauges.{name}: is a gauge of docker's, too; name it differently"
    for name, kpi in measure.kpi.items():
        if kpi.database is None and placement.database is None:
            yield f"kpi.{name}.database: missing; this environment declares no database"


def _order(folder: str, key: str, edges: Mapping[str, Sequence[str]], unread: frozenset[str]) -> Iterator[str]:
    """Check that what goes before exists, and that nothing goes before itself; each circle is told once."""
    for name, before in edges.items():
        for other in before:
            if other not in edges and f"{folder}/{other}.yaml" not in unread:
                yield f"{folder}/{name}.yaml: {key}: there is no {other!r}; {did_you_mean(other, edges)}"
    told: set[str] = set()
    for name in sorted(edges):
        circle = _circle(name, edges)
        if not told & set(circle):
            told |= set(circle)
            if circle:
                yield f"{folder}/{name}.yaml: {key}: goes in a circle: {' → '.join((*circle, name))}"


def _circle(start: str, edges: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Find the shortest way from a name back to itself (breadth first); empty when there is none."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    for way in ways:  # grows while it is read
        for other in edges.get(way[-1], ()):
            if other == start:
                return way
            if other not in seen:
                seen.add(other)
                ways.append((*way, other))
    return ()


def _ports(services: Mapping[str, Service]) -> Iterator[str]:
    """Check that users reach one placement per port: all of them are behind one router."""
    taken: dict[int, str] = {}
    for name, service in services.items():
        for place, placement in service.environments.items():
            owner = taken.get(placement.port)
            if owner:
                yield f"services/{name}.yaml: environments.{place}.port: {placement.port} is taken by {owner}"
            else:
                taken[placement.port] = f"{name} in {place}"


def _copies(catalog: Catalog) -> Iterator[str]:
    """Check that no copy takes the place of a database that releases migrate, or of another copy."""
    taken = {
        placement.database: f"{name} in {place} has its data there"
        for name, service in catalog.services.items()
        for place, placement in service.environments.items()
        if placement.database
    }
    for name, wanted in sorted(catalog.copies.items()):
        if owner := taken.get(wanted.into):
            yield f"copies/{name}.yaml: into: {owner}; a copy needs a database of its own"
        taken[wanted.into] = f"the copy {name} goes there"


def _people(people: People) -> Iterator[str]:
    """Check that nobody shares a name, an address or a key: one person could approve as two."""
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for person in people.people:
        owners["name", person.name].append(person.name)
        owners["address", person.email].append(person.name)
        for key in {" ".join(key.split()[:2]) for key in person.keys}:
            owners["key", key].append(person.name)
    for (what, _), names in owners.items():
        if len(names) > 1:
            yield f"people.yaml: people: {' and '.join(names)} have the same {what}; each needs their own"
