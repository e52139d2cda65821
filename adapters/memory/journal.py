"""A journal in memory, quick enough for a hundred thousand releases: the same facts, checks and chain, no database."""

import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from operator import attrgetter
from typing import Any

from pydantic_core import from_json, to_json

from domain.chain import GENESIS, Checkpoint, body_of, entry_hash
from domain.facts import Done, Entered, Entry, Fact
from domain.lease import Lease, carrier_of, insist_current
from domain.ports import Clock
from domain.release.state import insist_legal

_SEQ = attrgetter("seq")
_FIELDS = set(Entry.model_fields)


@dataclass(slots=True)
class MemoryRow:
    """One entry as a database would store it, except that the body's keys stand in the order they were declared in."""

    seq: int
    at: str
    actor: str
    release: str
    service: str
    environment: str
    token: int
    kind: str
    body: str
    previous: str
    hash: str = ""


@dataclass(slots=True)
class Held:
    """A lease in its place; while somebody keeps it alive its end moves along with the clock."""

    lease: Lease
    expires_at: float
    alive: list[float] = field(default_factory=list)  # the ttl of everybody who keeps it alive just now

    def left(self, now: float) -> float:
        """Tell how many seconds are left; negative: expired."""
        return self.alive[-1] if self.alive else self.expires_at - now


class MemoryJournal:
    """The Journal port in memory. Its clock is the only one, as the database's is for SQL: give it the one that the
    simulated processes sleep on, and time passes for both alike. Safe to use from threads.

    `held` is the table of leases, which MemoryLeases keeps and `append` asks; `lock` makes one writer of both. Without
    `chained` no fact is rendered or hashed: twice as fast, for simulations whose chain nobody verifies.
    """

    def __init__(self, clock: Clock, *, chained: bool = True) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.held: dict[tuple[str, str], Held] = {}
        self.newest_token: dict[tuple[str, str], int] = {}
        self._chained = chained
        self._entries: list[Entry] = []
        self._shelves: defaultdict[tuple[str, ...], dict[str, list[Entry]]] = defaultdict(dict)
        self._phases: dict[str, Entered] = {}
        self._stamped = (-1.0, "")

    def append(
        self,
        fact: Fact,
        *,
        actor: str,
        release: str,
        service: str,
        environment: str = "",
        token: int = 0,
        carrier: int = 0,
    ) -> Entry:
        """Write one fact; see the port."""
        with self.lock:
            if token:
                self.insist_current(service, environment, token)
            if carrier:
                self.insist_current(service, carrier_of(release), carrier)
            if isinstance(fact, Entered):
                insist_legal([self._phases[release]] if release in self._phases else [], fact)
                self._phases[release] = fact
            return self.write(fact, actor, release, service, environment, token)

    def entries(
        self,
        *,
        release: str | None = None,
        service: str | None = None,
        environment: str | None = None,
        kinds: Sequence[str] = (),
        after: int = 0,
    ) -> tuple[Entry, ...]:
        """Read entries in order; see the port. Quick where a release or a service is named."""
        with self.lock:
            if release is not None:
                return self._read(("release", release), service, environment, kinds, after)
            if service is None:
                return self._read((), None, environment, kinds, after)
            if environment is None:
                return self._read(("service", service), None, None, kinds, after)
            return self._read(("place", service, environment), None, None, kinds, after)

    def rows(self, after: int = 0) -> Iterator[MemoryRow]:
        """Render entries again as they were hashed."""
        for entry in self._entries[after:]:
            yield MemoryRow(**entry.model_dump(exclude={"fact"}), kind=entry.fact.kind, body=_body(entry.fact))

    def checkpoint(self) -> Checkpoint | None:
        """Take a checkpoint of the newest row; None while the journal is empty."""
        newest = self._entries[-1:]
        return Checkpoint(seq=newest[0].seq, hash=newest[0].hash, at=newest[0].at) if newest else None

    def write(self, fact: Fact, actor: str, release: str, service: str, environment: str, token: int) -> Entry:
        """Chain one fact to the last one, unchecked; the caller holds the lock."""
        what: dict[str, Any] = {"seq": len(self._entries) + 1, "at": self._at(), "previous": "", "hash": ""}
        what |= {"actor": actor, "release": release, "service": service, "environment": environment, "token": token}
        if self._chained:
            what["previous"] = self._entries[-1].hash if self._entries else GENESIS
            what["hash"] = entry_hash(MemoryRow(**what, kind=fact.kind, body=_body(fact)))
        entry = _entry(**what, fact=_parted(fact))
        self._entries.append(entry)
        for shelf in (("release", release), ("service", service), ("place", service, environment), ()):
            self._shelves[shelf].setdefault(fact.kind, []).append(entry)
        if token:
            self.newest_token[service, environment] = token
        return entry

    def current(self, service: str, environment: str) -> Lease | None:
        """Read who holds an environment, expired or not; None when nobody does."""
        held = self.held.get((service, environment))
        return Lease(**vars(held.lease) | {"expires_in": held.left(self.clock.now())}) if held else None

    def insist_current(self, service: str, environment: str, token: int) -> None:
        """Raise Conflict unless this token is the environment's current one and has not expired."""
        held = self.held.get((service, environment))
        if held is None or held.lease.token != token or held.left(self.clock.now()) <= 0:
            insist_current(self.current(service, environment), service, environment, token)  # says what is the matter

    def _read(
        self, shelf: tuple[str, ...], service: str | None, environment: str | None, kinds: Sequence[str], after: int
    ) -> tuple[Entry, ...]:
        """Read one shelf; service and environment are what the shelf is not sorted by."""
        by_kind = self._shelves.get(shelf, {})
        found = [by_kind[kind] for kind in dict.fromkeys(kinds or by_kind) if kind in by_kind]
        entries = found[0] if len(found) == 1 else sorted(chain.from_iterable(found), key=_SEQ)
        if after:
            entries = entries[bisect_right(entries, after, key=_SEQ) :]
        if service is not None:
            entries = [entry for entry in entries if entry.service == service]
        if environment is not None:
            entries = [entry for entry in entries if entry.environment == environment]
        return tuple(entries)

    def _at(self) -> str:
        now = self.clock.now()
        if self._stamped[0] != now:  # virtual time stands still for many facts
            text = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
            self._stamped = now, text.replace("+00:00", "Z")
        return self._stamped[1]


def _entry(**fields: Any) -> Entry:
    """Make an entry of parts that are sound already: pydantic would take twice the time to find that out again."""
    entry, put = Entry.__new__(Entry), object.__setattr__
    put(entry, "__dict__", fields)
    put(entry, "__pydantic_fields_set__", _FIELDS)
    put(entry, "__pydantic_extra__", None)
    put(entry, "__pydantic_private__", None)
    return entry


def _body(fact: Fact) -> str:
    body = fact.model_dump_json(by_alias=True)
    return body if "null" not in body else body_of(fact)  # NaN would be written as null; then look twice


def _parted(fact: Fact) -> Fact:
    """Part a fact from what its writer may change later, and give it the shape that JSON would."""
    if not isinstance(fact, Done):
        return fact
    return Done(key=fact.key, verb=fact.verb, outcome=from_json(to_json(fact.outcome)), observed=fact.observed)
