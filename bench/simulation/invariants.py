"""What must hold once everything has come to rest, whatever went wrong before; the chaos campaign holds the same.

Each invariant is a function from an episode in a life to what is wrong, one sentence for each.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from bench.simulation.faults import Fault
from bench.simulation.life import Candidate, Life
from bench.simulation.shape import ENVIRONMENTS
from domain.errors import Refused
from domain.facts import Announced, Done, Entry, Fact, LeaseTaken, NowServing
from domain.lease import release_of
from domain.post import CLAIM
from domain.release.outcomes import Migrated
from domain.release.plan import Plan
from domain.release.recall import plan_of
from domain.release.route import Slot, other
from domain.release.state import OVER, ReleaseState, insist_legal
from domain.schema.proof import Proven

_TOLD = {"released": "succeeded", "rolled back": "rolled back", "aborted": "aborted", "stuck": "needs a person"}
_AGAIN = frozenset({"rolling back", "stuck", "awaiting approval", "rolled back"})
_HARMLESS = frozenset({"killed", "killed with its runner", "a sweep meanwhile"})
_LIVE_ON = frozenset(
    {"cancelled but alive", "asleep", "asleep, then cut off", "a clock that jumps", "rolled back by an operator"}
)
_MAY_GET_STUCK = frozenset(
    {"a port down for a while", "calls unanswered", "calls acted and unanswered", "an unforeseen error"}
)


@dataclass(frozen=True)
class Episode:
    """One release or rollback, and what went wrong around it."""

    life: Life
    candidate: Candidate
    back: bool  # a person takes something back
    before: Mapping[tuple[str, str], str]
    known: int  # facts that were there before
    struck: tuple[Fault, ...]
    rivals: tuple[Candidate, ...]
    astray: tuple[str, ...] = ()  # what a sweep had to clear away


Invariant = Callable[[Episode], Iterator[str]]


def broken(episode: Episode) -> list[str]:
    """Hold a life against every invariant; name the invariant and what is wrong."""
    life = episode.life
    seen = [f"{name}: {said}" for name, holds in INVARIANTS.items() for said in holds(episode)]
    return [*life.broken, *seen]


def one_version_serves(episode: Episode) -> Iterator[str]:
    """Exactly what the journal says: one slot has all traffic, its replicas are all there, and nothing else is."""
    life = episode.life
    for service, where in _places(life):
        serving, name = life.standing(service, where).serving, f"{service} in {where}"
        route, running = life.router._routes.get(f"{service}-{where}"), life.workload.running(service, where)
        if serving is None:
            if running or (route and (route.blue or route.green)):
                yield f"{name}: nothing was released, and {[r.name for r in running]} run"
            continue
        wanted = serving.deployment
        names = [f"{service}-{where}-{wanted.slot}-{index}" for index in range(wanted.replicas)]
        if [r.name for r in running] != names:
            yield f"{name}: {[r.name for r in running]} run instead of {names}"
        if any((r.image, r.release) != (wanted.artifact.image, wanted.release) or not r.running for r in running):
            yield f"{name}: not all replicas are those of {wanted.release}"
        there = [(r.name, r.address) for r in running]
        if route is None or route.share(wanted.slot) != 10_000:
            yield f"{name}: slot {wanted.slot} has not all of the traffic"
        elif [(it.name, it.address) for it in route.endpoints(wanted.slot)] != there or route.endpoints(
            other(wanted.slot)
        ):
            yield f"{name}: the router sends traffic to {route.blue} and {route.green}"


def nothing_is_left_behind(episode: Episode) -> Iterator[str]:
    """A sweep that looks for what nobody owns finds nothing."""
    if episode.astray:
        yield f"astray: {', '.join(episode.astray)}"


def nobody_alive_is_taken_over(episode: Episode) -> Iterator[str]:
    """While nothing but sweeps comes between, no release loses its run."""
    if {it.kind for it in episode.struck} <= {"a sweep meanwhile"}:
        for entry in episode.life.journal.entries(kinds=("recovered",)):
            if entry.seq > episode.known:
                yield f"{entry.release} was taken over from a run that lived"


def nobody_acts_late(episode: Episode) -> Iterator[str]:
    """Whoever was overtaken changes nothing any more."""
    yield from (f"{it.what} {it.service} {it.environment} {it.name} by token {it.token}" for it in episode.life.late)


def the_state_is_old_or_new(episode: Episode) -> Iterator[str]:
    """What serves is what served before, or the candidate; an operator's rollback leads to what was there earlier."""
    life = episode.life
    news = {episode.candidate.version, *(it.version for it in episode.rivals)}
    facts = [entry.fact for entry in _of(life, "now serving")] if _taken_back(episode) else []
    earlier = {it.settled.deployment.version for it in facts if isinstance(it, NowServing) and it.settled}
    earlier |= {""} if facts else set()
    for place, version in life.versions().items():
        if version not in {episode.before[place]} | news | earlier and place not in _stuck_places(life):
            yield f"{' in '.join(place)}: {version or 'nothing'} serves, before it was {episode.before[place]}"


def the_schema_is_known(episode: Episode) -> Iterator[str]:
    """Migrations are applied in order, each once, by releases that planned them; the journal knows where that led."""
    life = episode.life
    ran = Counter((e.service, e.environment, e.name) for e in life.effects if e.what == "migrate")
    yield from (f"{' '.join(what)} ran {count} times" for what, count in ran.items() if count > 1)
    for service, where in _places(life):
        if where not in life.databases[service]:
            continue
        database = life.databases[service][where]
        numbers = [row.number for row in database.applied()]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{service} in {where}: migrations {numbers}"
        known = life.standing(service, where).fingerprint
        if numbers and known != database.fingerprint():
            yield f"{service} in {where}: the schema after {numbers} is not the one that the journal knows"


def nothing_unproven_is_migrated(episode: Episode) -> Iterator[str]:
    """A migration was walked on a copy there, together with its way back, before it was applied."""
    proven: set[tuple[str, str, str]] = set()
    for entry in episode.life.journal.entries(kinds=("done",)):
        if not isinstance(entry.fact, Done) or entry.fact.verb not in ("prove", "migrate"):
            continue
        place = entry.service, entry.environment
        if entry.fact.verb == "prove":
            steps = Proven.model_validate(entry.fact.outcome).subject.steps
            proven |= {(*place, step.partition(" ")[0]) for step in steps}
            continue
        for row in Migrated.model_validate(entry.fact.outcome).applied:
            if (*place, f"{row.number:04d}_{row.name}") not in proven:
                yield f"{entry.release} applied {row.number:04d}_{row.name} in {entry.environment}, unproven"


def effects_happen_once(episode: Episode) -> Iterator[str]:
    """A release builds, pushes and starts each thing once; a process that fell asleep may have built beside another.

    A build that failed leaves nothing behind: where a process died before it said so it is tried once more.
    """
    life = episode.life
    seen = Counter(
        (e.what, e.service, e.environment, e.name, e.release)
        for e in life.effects
        if e.what in ("build", "push", "create")
    )
    gone = Counter((e.service, e.environment, e.name, e.release) for e in life.effects if e.what == "remove")
    asleep = any(it.kind not in _HARMLESS for it in life.ever)
    more = {"push": asleep, "build": asleep or "before failed build " in life.hit}
    for (what, *name), count in seen.items():
        if count > 1 + (gone[tuple(name)] if what == "create" else more[what]):  # type: ignore[index]  # four words
            yield f"{what} {' '.join(name)} happened {count} times"
    yield from (
        f"{e.name} was started in the place of another, for {e.release}" for e in life.effects if e.what == "replace"
    )
    pushed = {e.name.split()[0] + e.service: set[str]() for e in life.effects if e.what == "push"}
    for e in life.effects:
        if e.what == "push":
            pushed[e.name.split()[0] + e.service].add(e.name)
    yield from (f"one version is published with two digests: {names}" for names in pushed.values() if len(names) > 1)


def notices_come_once(episode: Episode) -> Iterator[str]:
    """Nobody is told the same thing twice, unless whoever delivered it could not say so."""
    life = episode.life
    unsure = any(it.kind not in _HARMLESS for it in life.ever) or "after notices deliver" in life.hit
    told = Counter(e.name for e in life.effects if e.what == "notify")
    yield from (f"{name} arrived {count} times" for name, count in told.items() if count > 1 and not unsure)


def traffic_turns_once(episode: Episode) -> Iterator[str]:
    """Traffic moves towards a candidate, and perhaps back to nothing; it never sets out again."""
    for (release, where), shares in _shares(episode).items():
        steps = [b - a for a, b in pairwise(shares) if a != b]
        down = [index for index, step in enumerate(steps) if step < 0]
        if down and (down[0] != len(steps) - 1 or shares[-1] != 0):
            yield f"{release} in {where}: its share went {' → '.join(map(str, shares))}"


def facts_happen_once(episode: Episode) -> Iterator[str]:
    """No step is intended or done twice, no phase entered twice, nobody told twice, no share judged twice."""
    life = episode.life
    counted = Counter(known for entry in life.facts() if (known := _once(entry)))
    for what, count in counted.items():
        if count > 1:
            yield f"{' '.join(map(str, what))} is {count} times in the journal"


def phases_follow_each_other(episode: Episode) -> Iterator[str]:
    """Every release went a legal way."""
    life = episode.life
    past: dict[str, list[Fact]] = {}
    for entry in _of(life, "entered"):
        try:
            insist_legal(past.setdefault(entry.release, [])[-1:], entry.fact)
        except Refused as refused:
            yield f"{entry.release}: {refused.message}"
        past[entry.release].append(entry.fact)


def old_tokens_write_nothing(episode: Episode) -> Iterator[str]:
    """Once somebody has taken over, nothing is written under an older token, and no share rises."""
    life = episode.life
    current: dict[tuple[str, str], int] = {}
    for entry in life.facts():
        place = (entry.service, entry.environment)
        if isinstance(entry.fact, LeaseTaken):
            if entry.token <= current.get(place, 0):
                yield f"row {entry.seq}: token {entry.token} was given after {current[place]}"
            current[place] = entry.token
        elif entry.token and entry.token < current.get(place, 0):
            yield f"row {entry.seq}: {entry.fact.kind} under token {entry.token}, {current[place]} was current"
    newest: dict[str, int] = {}
    for effect in life.effects:
        if effect.route and effect.token < newest.get(effect.name, 0):
            yield f"{effect.name} was moved under token {effect.token}, after {newest[effect.name]}"
        if effect.route:
            newest[effect.name] = effect.token


def leases_are_free_or_parked(episode: Episode) -> Iterator[str]:
    """Nobody holds anything, unless a stuck release waits for a person, with a reason, and others behind it."""
    life = episode.life
    phases = {it.release: it for it in life.states()}
    for service, what in list(life.journal.held):
        lease = life.leases.holder(service, what)
        if lease is None or lease.expires_in <= 0:
            continue
        at = phases.get(lease.release)
        if at and life.waits(at):
            continue
        if not (at and at.phase == "stuck" and at.environment == what and lease.reason and lease.expires_in > 3600):
            yield f"{lease.owner} holds {service} {what} for another {lease.expires_in:.0f} s"
    for it in phases.values():
        if it.phase not in OVER and it.phase != "stuck" and not life.waits(it):
            yield f"{it.release} is still {it.phase or 'opened'}"
        parked = life.leases.holder(it.service, it.environment)
        if it.phase == "stuck" and not (parked and parked.release == it.release and parked.expires_in > 0):
            yield f"{it.release} is stuck, and {it.environment} is free for anybody"


def everybody_is_told(episode: Episode) -> Iterator[str]:
    """Whoever was told that a release started is told how it ended."""
    life = episode.life
    told = {(e.release, e.fact.occasion) for e in _of(life, "announced") if isinstance(e.fact, Announced)}
    for it in life.states():
        end = _TOLD.get(it.phase or "")
        if (it.release, "started") in told and end and (it.release, end) not in told:
            yield f"{it.release} is {it.phase}, and nobody was told"


def it_ends_as_it_deserves(episode: Episode) -> Iterator[str]:
    """A bad version is never released; a good one is, when processes only died; stuck needs a cause."""
    life = episode.life
    kinds = {it.kind for it in episode.struck}
    for at in _new(episode):
        candidate = next(it for it in life.candidates if it.version == (at.version or _asked(life, at)))
        good = candidate.deserves(plan_of(life.journal.entries(release=at.release, kinds=("planned",))))
        if at.phase == "released" and not good:
            yield f"{at.release} is {candidate.nature}, and was released"
        alone = not episode.rivals and not episode.back
        once = not kinds or (len(episode.struck) == 1 and kinds <= _HARMLESS)
        if at.phase != "released" and good and once and alone:
            yield f"{at.release} is good, and {at.phase}: {at.reason}"
        if at.phase == "stuck" and once:
            yield f"{at.release} is stuck for no cause: {at.reason}"
        serves = {e.environment for e in life.journal.entries(release=at.release, kinds=("now serving",))}
        wanted = set(ENVIRONMENTS[: ENVIRONMENTS.index(candidate.to) + 1])
        if at.phase == "released" and serves != wanted:
            yield f"{at.release} is released, and settled in {sorted(serves)}"


def a_sweep_changes_nothing_more(episode: Episode) -> Iterator[str]:
    """At rest a sweep finds nothing to do, after one that has seen everything at rest and every message due."""
    life = episode.life
    life.clock.sleep(CLAIM)  # whoever died delivering a message keeps it from others for so long
    life.sweep()
    before = len(life.facts()), len(life.effects)
    life.sweep()
    if before != (len(life.facts()), len(life.effects)) or life.prefect.due:
        yield f"{[e.fact.kind for e in life.facts()[before[0] :]]}"


INVARIANTS: Mapping[str, Invariant] = {
    function.__name__.replace("_", " "): function
    for function in (
        one_version_serves,
        nothing_is_left_behind,
        nobody_alive_is_taken_over,
        nobody_acts_late,
        the_state_is_old_or_new,
        the_schema_is_known,
        nothing_unproven_is_migrated,
        effects_happen_once,
        notices_come_once,
        traffic_turns_once,
        facts_happen_once,
        phases_follow_each_other,
        old_tokens_write_nothing,
        leases_are_free_or_parked,
        everybody_is_told,
        it_ends_as_it_deserves,
        a_sweep_changes_nothing_more,
    )
}


def _places(life: Life) -> Iterator[tuple[str, str]]:
    """List where everything must be in order: not where a stuck release waits for a person."""
    stuck = _stuck_places(life)
    yield from (place for place in life.versions() if place not in stuck)


def _stuck_places(life: Life) -> set[tuple[str, str]]:
    return {(it.service, it.environment) for it in life.states() if it.phase == "stuck"}


def _taken_back(episode: Episode) -> bool:
    return episode.back or any(it.kind == "rolled back by an operator" for it in episode.struck)


def _of(life: Life, kind: str) -> tuple[Entry, ...]:
    return life.journal.entries(kinds=(kind,))


def _new(episode: Episode) -> list[ReleaseState]:
    """List the releases that began in this episode."""
    life = episode.life
    opened = {e.release for e in life.journal.entries(kinds=("opened",), after=episode.known)}
    return [it for it in life.states() if it.release in opened]


def _asked(life: Life, at: ReleaseState) -> str:
    """Tell which version a release was asked for that has no plan yet."""
    asked = life.journal.entries(release=at.release, kinds=("opened",))[0].fact
    return str(asked.request.ref).removeprefix("v")  # type: ignore[union-attr]  # by kind


def _once(entry: Entry) -> tuple[object, ...] | None:  # noqa: PLR0911  # a table of what may be there once
    fact, where = entry.fact, (entry.release, entry.fact.kind, entry.environment)
    match fact.kind:
        case "intended" | "done":
            return (*where, fact.key)
        case "entered" if fact.phase not in _AGAIN:
            return (*where, fact.phase)
        case "announced" if fact.occasion != "needs a person":
            return (*where, fact.occasion, fact.about)
        case "now serving" if fact.settled:
            return (*where, fact.settled.way, fact.settled.deployment.slot)
        case "judged" if fact.verdict.decision != "hold":
            return (*where, fact.share)
        case "opened" | "planned":
            return where
    return None


def _shares(episode: Episode) -> dict[tuple[str, str], list[int]]:
    """List what share each release had of an environment, turn by turn."""
    life = episode.life
    owners = {
        (e.service, e.environment, e.token): release_of(e.fact.owner)
        for e in _of(life, "lease taken")
        if isinstance(e.fact, LeaseTaken)
    }
    plans: dict[str, Plan | None] = {}
    seen: dict[tuple[str, str], list[int]] = {}
    for effect in life.effects:
        if effect.route is None:
            continue
        release = owners[effect.service, effect.environment, effect.token]
        if release not in plans:
            plans[release] = plan_of(life.journal.entries(release=release, kinds=("planned",)))
        plan = plans[release]
        if plan:
            slot: Slot = plan.stage(effect.environment).slot
            empty = not effect.route.endpoints(slot)
            seen.setdefault((release, effect.environment), []).append(0 if empty else effect.route.share(slot))
    return seen
