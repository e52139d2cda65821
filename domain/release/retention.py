"""Which backups are kept, and why; decided from the journal and from their ages.

A backup goes when nothing needs it. It is kept as long as one of these is so:

| what | why |
|---|---|
| its release is not over | it may go back to it, or find it again |
| its release serves, stands in a slot, serves again after a rollback, or left the schema as it is | it is a way back |
| somebody holds it, or its environment | whoever does knows why |
| it is among the newest of its service and environment, or young | nobody knows yet what will be wrong |
| nobody can tell what it is, whose, or how old | what is not surely useless is left alone |

A backup without its dump or its manifest is none, and goes after a day unless one of the other reasons keeps it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import inf

from pydantic import Field

from domain.facts import BackupFreed, BackupHeld, BackupLetGo, Done, Entry
from domain.release import standing, state
from domain.release.outcomes import BackedUp, Migrated
from domain.release.state import ReleaseState
from domain.release.way_back import target_of
from domain.value import Seconds, Value

FOLDER = "backups/"
KINDS = (
    *("opened", "planned", "entered", "intended", "done", "now serving"),
    *("backup held", "backup freed", "backup let go"),
)
"""The facts of the journal that `rulings` reads."""

MANIFEST, DUMP = ".json", ".dump.zst"
_NAME = re.compile(rf"^({FOLDER}([^/]+)/([^/]+)/([^/]+)/\d{{3,}})({re.escape(MANIFEST)}|{re.escape(DUMP)})$")
_DAY = 86_400.0  # seconds; after as long nobody is at an unfinished backup any more


class Keep(Value):
    """How long backups are kept, beyond those that something needs."""

    backups: Seconds = Field(default=30 * _DAY, gt=0, description="one that is younger is kept")
    least: int = Field(default=3, ge=1, description="the newest of each service and environment, however old they are")


class Shelved(Value):
    """A backup in the store: a dump and its manifest under one name, or what there is of them."""

    key: str = Field(description="the name of both, without .dump.zst and .json; else the object's own")
    service: str = ""
    environment: str = ""
    release: str = Field(default="", description="empty: its name is not that of a backup")
    objects: tuple[str, ...] = Field(description="the manifest first: what is removed last must not look whole")
    age: float = Field(description="seconds since the younger one was written")

    @property
    def whole(self) -> bool:
        """Tell whether both are there: the manifest is written last, once the restored dump was compared."""
        return len(self.objects) == 2


class Ruling(Value):
    """What becomes of a backup, and why."""

    backup: Shelved
    keep: bool
    reasons: tuple[str, ...]
    doubtful: bool = Field(default=False, description="nobody can tell what it is, whose, or how old")

    @property
    def says(self) -> str:
        """Give every reason."""
        return "; ".join(self.reasons)


class Place(Value):
    """What is known of a service in one environment, as far as its backups go."""

    releases: dict[str, ReleaseState]
    wanted: dict[str, tuple[str, ...]] = Field(description="release → why it is a way back")
    held: dict[str, str] = Field(description="backup → who holds it, and why")
    taken: dict[str, float] = Field(description="backup → how many seconds ago the journal says that it was whole")
    let_go: frozenset[str]
    holder: str = Field(description="who holds the environment; empty: nobody does")


def shelves(ages: Mapping[str, float]) -> tuple[Shelved, ...]:
    """Put the objects of the store together to backups; `ages` in seconds by key."""
    found: dict[str, list[re.Match[str]]] = {}
    strange = []
    for key, age in ages.items():
        if named := _NAME.match(key):
            found.setdefault(named[1], []).append(named)
        else:
            strange.append(Shelved(key=key, objects=(key,), age=age))
    backups = [
        Shelved(
            key=key,
            service=parts[0][2],
            environment=parts[0][3],
            release=parts[0][4],
            objects=tuple(part[0] for part in sorted(parts, key=lambda part: part[5] != MANIFEST)),
            age=min(ages[part[0]] for part in parts),
        )
        for key, parts in found.items()
    ]
    return tuple(sorted([*backups, *strange], key=lambda it: it.key))


def name_of(key: str) -> str:
    """Name the backup that a key of the store or of the journal is about."""
    return key.removesuffix(MANIFEST).removesuffix(DUMP)


def rulings(
    backups: Sequence[Shelved],
    entries: Sequence[Entry],
    holders: Mapping[str, str],
    keep: Keep,
    now: float,
) -> tuple[Ruling, ...]:
    """Rule on the backups of one service, in order.

    `entries` are the service's of KINDS, in order; `holders` says for each of its environments who holds it (empty:
    nobody does); `now` is in seconds since the epoch. To rule again on what is kept lets nothing more go.
    """
    told: list[Ruling] = []
    for environment in sorted({it.environment for it in backups}):
        here = [it for it in backups if it.environment == environment]
        if environment in holders:
            told += _ruled(here, _place(entries, environment, holders[environment], now), keep)
        else:
            told += [in_doubt(it, f"{it.service} has no environment {environment}") for it in here]
    return tuple(sorted(told, key=lambda ruling: ruling.backup.key))


def in_doubt(backup: Shelved, why: str) -> Ruling:
    """Keep what nobody can tell anything about."""
    why = why if backup.release else "its name is not that of a backup"
    return Ruling(backup=backup, keep=True, reasons=(why,), doubtful=True)


def holds(entries: Iterable[Entry]) -> dict[str, str]:
    """Tell which backups somebody holds by these entries: backup → who, and why."""
    held: dict[str, str] = {}
    for entry in entries:
        match entry.fact:
            case BackupHeld(key=key, reason=reason):
                held[key] = f"{entry.actor} holds it: {reason}"
            case BackupFreed(key=key):
                held.pop(key, None)
    return held


def _place(entries: Sequence[Entry], environment: str, holder: str, now: float) -> Place:
    here = [entry for entry in entries if entry.environment == environment]
    taken = {
        name_of(stored.key): now - datetime.fromisoformat(entry.at).timestamp()
        for entry in here
        if isinstance(entry.fact, Done) and entry.fact.verb == "back_up"
        if (stored := BackedUp.model_validate(entry.fact.outcome).stored)
    }
    return Place(
        releases=state.fold(entries),
        wanted=_ways_back(here),
        held=holds(here),
        taken=taken,
        let_go=frozenset(entry.fact.key for entry in here if isinstance(entry.fact, BackupLetGo)),
        holder=holder,
    )


def _ways_back(here: Sequence[Entry]) -> dict[str, tuple[str, ...]]:
    """Say of which releases the backups are a way back, and why; by the entries of one environment."""
    stands, said = standing.fold(here), list[tuple[str, str]]()
    if serving := stands.serving:
        said.append((serving.deployment.release, f"{serving.deployment.version} serves, and this is its way back"))
        if before := target_of(stands, serving.deployment.release):
            said.append((before.deployment.release, f"{before.deployment.version} serves again after a rollback"))
    said += [
        (it.deployment.release, f"it stands in slot {it.deployment.slot}") for it in (stands.blue, stands.green) if it
    ]
    if migrated := [entry.release for entry in here if _migrates(entry)]:
        said.append((migrated[-1], "its migrations are the last ones here"))
    return {release: tuple(why for other, why in said if other == release) for release, _ in said}


def _migrates(entry: Entry) -> bool:
    fact = entry.fact
    return isinstance(fact, Done) and fact.verb == "migrate" and bool(Migrated.model_validate(fact.outcome).applied)


def _ruled(backups: Sequence[Shelved], place: Place, keep: Keep) -> list[Ruling]:
    known = [it for it in backups if it.whole and it.release in place.releases and _age(it, place) >= 0]
    newest = {it.key for it in sorted(known, key=lambda it: _youth(it, place))[: keep.least]}
    return [_rule(it, place, newest, keep) for it in backups]


def _rule(it: Shelved, place: Place, newest: set[str], keep: Keep) -> Ruling:
    release, age = place.releases.get(it.release), _age(it, place)
    if release is None:
        return in_doubt(it, f"the ledger knows no release {it.release}")
    if age < 0:
        return in_doubt(it, "it was written in the future, so a clock is wrong")
    why = list(place.wanted.get(it.release, ()))
    if not release.over:
        why.insert(0, f"{it.release} is not over: it is {release.phase or 'being planned'}")
    if it.key in place.held:
        why.append(place.held[it.key])
    if place.holder:
        why.append(f"{place.holder} holds {it.environment} just now")
    if it.key in newest:
        why.append(f"it is one of the {keep.least} newest" if keep.least > 1 else "it is the newest")
    limit = keep.backups if it.whole or (it.key in place.taken and it.key not in place.let_go) else _DAY
    if age < limit:
        why.append(f"it is {age / _DAY:.1f} d old, and kept for {limit / _DAY:g} d")
    if why:
        return Ruling(backup=it, keep=True, reasons=tuple(why))
    what = "nothing needs it" if it.whole else "it is incomplete, and whoever took it is gone"
    return Ruling(backup=it, keep=False, reasons=(f"it is {age / _DAY:.1f} d old", what))


def _youth(it: Shelved, place: Place) -> tuple[float, float, str]:
    """Put the youngest first; of two that are as old by the store, which may count in seconds, the journal knows."""
    return _age(it, place), place.taken.get(it.key, inf), it.key


def _age(it: Shelved, place: Place) -> float:
    """Tell the age in seconds by the store or by the journal, whichever makes it younger."""
    return min(it.age, place.taken.get(it.key, it.age))
