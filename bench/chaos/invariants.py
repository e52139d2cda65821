"""What must hold whatever fails; held against the world as it was found, without the ledger's help.

Each invariant is a function from the evidence to what is wrong, one sentence for each; `INVARIANTS` lists them all.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bench.chaos.watch import Effect
from bench.chaos.world import OVER, ROUTE, Container, Row, World, phases

_ENDS = {"released": "succeeded", "rolled back": "rolled back", "aborted": "aborted", "stuck": "needs a person"}
_AGAIN = frozenset({"rolling back", "stuck", "awaiting approval"})
_FENCE = "-token-"  # in the name of the empty volume that remembers the newest owner's token


@dataclass(frozen=True)
class Candidate:
    """The version that a release brings: what its image is, and what it adds to the schema."""

    version: str
    image: str
    columns: frozenset[str] = frozenset()
    migrations: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Evidence:
    """Everything that was seen around one fault.

    `unnoticed`: no customer may have noticed; `engine_died`: containers were started again by the engine itself.
    """

    before: World
    after: World
    candidate: Candidate
    rows: Sequence[Row]
    effects: Sequence[Effect] = ()
    shares: Sequence[int] = ()
    acknowledged: frozenset[str] = frozenset()
    orders: frozenset[str] = frozenset()
    failures: Mapping[str, int] = field(default_factory=dict)
    chain: Sequence[str] = ()
    verdicts: Sequence[str] = ()
    quiet: str = ""
    unnoticed: bool = True
    engine_died: bool = False


Invariant = Callable[[Evidence], Iterator[str]]


def broken(evidence: Evidence) -> list[str]:
    """Hold the evidence against every invariant; name the invariant and what is wrong."""
    return [f"{name}: {said}" for name, holds in INVARIANTS.items() for said in holds(evidence)]


def it_comes_to_rest(evidence: Evidence) -> Iterator[str]:
    """Every release ends, and nothing goes on that nobody waits for."""
    if evidence.quiet:
        yield evidence.quiet
    yield from evidence.after.problems


def one_version_serves(evidence: Evidence) -> Iterator[str]:
    """One slot has all traffic, its replicas answer, they are of one version, and the other slot is empty."""
    world = evidence.after
    if not world.slot:
        yield f"green has {world.share or 'no'} basis points of the traffic"
    if world.share != world.share_on_disk:
        yield f"the router does {world.share}, and would do {world.share_on_disk} after a restart"
    if not world.version:
        yield f"{dict(world.answers)} answered"
    elif any(it.label("version") != world.version for it in world.serving):
        yield f"{world.version} answers, but slot {world.slot} holds {_versions(world.serving)}"
    wanted = {f"{it.address}:{it.label('port')}" for it in world.serving}
    for slot in ("blue", "green"):
        there = world.members.get(slot, frozenset())
        if there != (wanted if slot == world.slot else set()):
            yield f"the router sends slot {slot} to {sorted(there)}, where {sorted(wanted)} run in {world.slot}"


def the_state_is_old_or_new(evidence: Evidence) -> Iterator[str]:
    """Image, configuration and number of replicas are those of before or of the candidate; the schema fits them."""
    before, after, new = evidence.before, evidence.after, evidence.candidate
    images = {it.image for it in after.serving}
    wanted = {before.version: {it.image for it in before.serving}, new.version: {new.image}}
    if after.version not in wanted:
        yield f"{after.version or 'nothing'} serves: neither {before.version} nor {new.version}"
    elif images != wanted[after.version]:
        yield f"{after.version} serves from {sorted(images)}, its image is {sorted(wanted[after.version])}"
    if {it.label("config") for it in after.serving} != {it.label("config") for it in before.serving}:
        yield "the replicas have another configuration"
    if len(after.serving) != len(before.serving):
        yield f"{len(after.serving)} replicas serve, there were {len(before.serving)}"
    yield from _schema_fits(evidence)


def _schema_fits(evidence: Evidence) -> Iterator[str]:
    """Expanded or not; a rollback leaves expand steps in place on purpose, but the new version needs them."""
    before, after, new = evidence.before.schema, evidence.after.schema, evidence.candidate
    added = after.columns - before.columns
    if before.columns - after.columns or added - new.columns:
        yield f"the schema changed by {sorted(before.columns ^ after.columns)}, {sorted(new.columns)} was meant"
    if not added and after.fingerprint != before.fingerprint:
        yield "the schema has the columns of before, and another fingerprint"
    if evidence.after.version == new.version != evidence.before.version and not new.columns <= after.columns:
        yield f"{new.version} serves without {sorted(new.columns - after.columns)}"
    rows = after.migrated.keys() - before.migrated.keys()
    if len(added) != len(rows) or rows - new.migrations:
        yield f"columns {sorted(added)} came with the migrations {sorted(rows)}"
    if unfinished := {number: state for number, state in after.migrated.items() if state != "applied"}:
        yield f"migrations are left behind: {unfinished}"


def no_order_is_lost(evidence: Evidence) -> Iterator[str]:
    """Every row that a customer was told of is in the database."""
    if lost := evidence.acknowledged - evidence.orders:
        yield f"{len(lost)} acknowledged orders are missing, such as {min(lost)}"


def effects_happen_once(evidence: Evidence) -> Iterator[str]:
    """A replica is started once for a release, an image is pushed once.

    A container that was created and never started is replaced on purpose, because it may lack its secrets.
    """
    for effect, count in Counter(evidence.effects).items():
        if count > 1 and effect.what != "create" and not (effect.what == "start" and evidence.engine_died):
            yield f"{effect.what} {effect.name} happened {count} times" + f" for {effect.release}" * bool(
                effect.release
            )


def traffic_turns_once(evidence: Evidence) -> Iterator[str]:
    """Traffic moves towards the candidate, and perhaps back; it never sets out again."""
    steps = [b - a for a, b in pairwise(evidence.shares)]
    if sum((a > 0) != (b > 0) for a, b in pairwise(steps)) > 1:
        yield f"green's share went {' → '.join(str(share) for share in evidence.shares)}"


def the_chain_holds(evidence: Evidence) -> Iterator[str]:
    """The journal is what was written."""
    yield from evidence.chain


def the_judge_can_be_replayed(evidence: Evidence) -> Iterator[str]:
    """Every verdict comes out the same again from the looks in the journal, bit for bit."""
    yield from evidence.verdicts


def facts_happen_once(evidence: Evidence) -> Iterator[str]:
    """No step is intended or done twice, no phase entered twice, nobody told the same thing twice."""
    counted = Counter(known for row in evidence.rows if (known := _once(row)))
    for (release, *what), count in counted.items():
        if count > 1:
            yield f"{release}: {' '.join(str(word) for word in what if word)} is {count} times in the journal"


def _once(row: Row) -> tuple[str, ...] | None:
    fact, where = row["fact"], (row["release"], row["kind"], row["environment"])
    match row["kind"]:
        case "intended" | "done":
            return (*where, fact["key"])
        case "entered" if fact["phase"] not in _AGAIN:
            return (*where, fact["phase"])
        case "announced" if fact["occasion"] != "needs a person":
            return (*where, fact["occasion"], fact["about"])
        case "now serving" if fact["settled"]:
            return (*where, fact["settled"]["way"], fact["settled"]["deployment"]["slot"])
        case "opened" | "planned":
            return where
    return None


def old_tokens_write_nothing(evidence: Evidence) -> Iterator[str]:
    """Once an environment has a new owner, nothing is written under an older token."""
    current: dict[tuple[str, str], int] = {}
    for row in evidence.rows:
        place = (row["service"], row["environment"])
        if row["kind"] == "lease taken":
            if row["token"] <= current.get(place, 0):
                yield f"row {row['seq']}: token {row['token']} was given after {current[place]}"
            current[place] = row["token"]
        elif row["token"] and row["token"] < current.get(place, 0):
            yield f"row {row['seq']}: {row['kind']} under token {row['token']}, {current[place]} was current"


def nothing_is_left_behind(evidence: Evidence) -> Iterator[str]:
    """No container but those that serve, no volume but a fence, no network twice, no scratch database, no map.

    An owner that dies between its own token and the removal of the older one leaves two; the next owner removes both.
    """
    world = evidence.after
    halfway = "stuck" in phases(evidence.rows).values()  # then what the undo had begun with is still there
    strays = [
        f"{it.name} ({it.state})"
        for it in world.containers
        if not (it.state == "running" and (it in world.serving or halfway))
    ]
    if strays:
        yield f"containers: {', '.join(sorted(strays))}"
    fences = {volume for volume in world.volumes if _FENCE in volume}
    if more := set(world.volumes) - set(evidence.before.volumes) - (fences if len(fences) <= 2 else set()):
        yield f"volumes: {', '.join(sorted(more))}"
    if twice := [name for name, count in Counter(world.networks).items() if count > 1]:
        yield f"networks of one name: {', '.join(twice)}"
    if world.schema.scratch:
        yield f"scratch databases: {', '.join(world.schema.scratch)}"
    if world.maps - {ROUTE}:
        yield f"routes in the router's map: {', '.join(sorted(world.maps - {ROUTE}))}"


def leases_are_free_or_parked(evidence: Evidence) -> Iterator[str]:
    """Nobody holds anything, unless a stuck release waits for a person, with a reason."""
    ended = phases(evidence.rows)
    for lease in evidence.after.leases:
        release = str(lease["owner"]).partition("/")[0]
        parked = ended.get(release) == "stuck" and lease["reason"] and lease["left"] > 3600
        if not parked:
            yield f"{lease['owner']} holds {lease['environment']} for another {lease['left']:.0f} s"
    for release, phase in ended.items():
        held = any(lease["owner"].startswith(release) for lease in evidence.after.leases)
        if phase == "stuck" and not held:
            yield f"{release} is stuck, and its environment is free for anybody"
        if phase not in OVER | {"stuck"}:
            yield f"{release} is still {phase or 'opened'}"


def everybody_is_told(evidence: Evidence) -> Iterator[str]:
    """Whoever was told that a release started is told how it ended."""
    told = {(row["release"], row["fact"]["occasion"]) for row in evidence.rows if row["kind"] == "announced"}
    for release, phase in phases(evidence.rows).items():
        if (release, "started") in told and (release, _ENDS.get(phase, "started")) not in told:
            yield f"{release} is {phase}, and nobody was told"


def customers_notice_nothing(evidence: Evidence) -> Iterator[str]:
    """Where the fault is on no way that requests take, none fails."""
    if evidence.unnoticed and evidence.failures:
        yield f"requests failed: {dict(evidence.failures)}"


def _versions(containers: Sequence[Container]) -> str:
    return ", ".join(sorted({it.label("version") for it in containers})) or "nothing"


INVARIANTS: Mapping[str, Invariant] = {
    function.__name__.replace("_", " "): function
    for function in (
        it_comes_to_rest,
        one_version_serves,
        the_state_is_old_or_new,
        no_order_is_lost,
        effects_happen_once,
        traffic_turns_once,
        the_chain_holds,
        the_judge_can_be_replayed,
        facts_happen_once,
        old_tokens_write_nothing,
        nothing_is_left_behind,
        leases_are_free_or_parked,
        everybody_is_told,
        customers_notice_nothing,
    )
}
