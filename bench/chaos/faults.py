"""Every fault of the campaign: what happens, and at which step of which story. Each has a name that stays.

The four points of a step are before and after its intent, and before and after its outcome is written; `inside` lies
between, while the effect happens. A fault at one point of a story is one release, one rollback or one undo.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Literal

Story = Literal["release", "rollback", "undo"]
"""`undo` is the release of a version that fails its users; `rollback` an operator's, of a release that is finished."""
When = Literal["before", "after", "inside"]

KILLED = ("runner", "prefect", "haproxy-master", "haproxy-worker", "dockerd", "dockerd-live", "postgres", "registry")
"""Products that get SIGKILL and come back; dockerd-live leaves its containers running (live-restore)."""
LINKS = ("ledger", "database", "app", "registry", "prefect")
DISKS = ("store", "ledger")
OUTSIDE = (
    *KILLED,
    "machine",
    "cancel",
    "hole-engine",
    *(f"disk-{name}" for name in DISKS),
    *(f"{how}-{link}" for how in ("reset", "hole") for link in LINKS),
)
"""Faults of something else than the flow, and somebody's Cancel in Prefect."""
ENGINE_DIES = frozenset({"dockerd", "machine"})
UNNOTICED = frozenset({"kill", "stop", "cancel", "runner", "prefect", "registry", "hole-engine", "disk-store"})
"""Faults on no way that a customer's request takes: not one may fail."""

SECONDS = {
    "build": 1.5, "check": 0.8, "publish": 0.15, "prove": 1.5, "back_up": 0.6, "migrate": 0.2, "deploy": 1.6,
    "attach": 0.5, "shift": 0.03, "retire": 0.6, "verify": 0.1,
}  # fmt: skip
"""How long an effect takes on a machine of two cores; `inside` falls into it."""

_VERBS: dict[Story, tuple[tuple[str, int], ...]] = {
    "release": (
        ("build", 1), ("check", 1), ("publish", 1), ("prove", 1), ("back_up", 1), ("migrate", 1), ("deploy", 1),
        ("check", 2), ("attach", 1), ("shift", 1), ("shift", 2), ("retire", 1),
    ),
    "rollback": (("deploy", 1), ("check", 1), ("attach", 1), ("shift", 1), ("retire", 1), ("verify", 1)),
    "undo": (("shift", 2), ("retire", 1), ("verify", 1)),
}  # fmt: skip
_FACTS: dict[Story, tuple[tuple[str, str, int], ...]] = {
    "release": (
        ("opened", "", 1),
        ("planned", "", 1),
        *(("entered", phase, 1) for phase in ("planned", "built", "deploying", "baking", "settled", "released")),
        ("announced", "", 1),
        ("announced", "", 2),
        ("looked", "", 1),
        ("judged", "", 1),
        ("now serving", "", 1),
    ),
    "rollback": (
        ("entered", "rolling back", 1),
        ("now serving", "", 1),
        ("announced", "", 1),
        ("entered", "rolled back", 1),
    ),
    "undo": (
        ("judged", "", 1),
        ("entered", "rolling back", 1),
        ("announced", "", 2),
        ("entered", "rolled back", 1),
    ),
}


@dataclass(frozen=True)
class Point:
    """One point that a flow comes by; see tasks/fault.py. `name` is a verb, a phase or a kind of lease."""

    when: When
    fact: str
    name: str = ""
    nth: int = 1

    def __str__(self) -> str:
        words = [self.when, self.fact, self.name, str(self.nth) if self.nth > 1 else ""]
        return "-".join(word.replace(" ", "-") for word in words if word)

    @property
    def verb(self) -> str:
        """Name the step it belongs to; a fact between steps goes by its own name."""
        return self.name if self.fact in ("intended", "done") else self.name or self.fact


@dataclass(frozen=True)
class Fault:
    """One fault; `again` is where the recovery from it is killed, too."""

    kind: str
    story: Story
    point: Point
    again: Point | None = None

    @property
    def step(self) -> str:
        """Name where it happens."""
        return f"{self.story}:{self.point}" + (f"+{self.again}" if self.again else "")

    @property
    def name(self) -> str:
        """Name it, for good."""
        return f"{self.kind}@{self.step}"

    @property
    def needs(self) -> Literal["known", "fresh", "migrating"]:
        """Tell what kind of version makes the step do something: published already, new, or with a migration."""
        if self.story == "release" and self.point.verb in ("prove", "back_up", "migrate"):
            return "migrating"
        if self.story == "release" and (
            self.point.verb in ("build", "publish") or (self.point.name, self.point.nth) == ("check", 1)
        ):
            return "fresh"
        return "known"


def every_fault() -> tuple[Fault, ...]:
    """List them all, always in the same order."""
    return tuple(chain(_own(), _recovering(), _from_outside()))


def _own() -> Iterator[Fault]:
    """The flow itself: killed, or frozen for longer than its leases live."""
    for kind in ("kill", "stop"):
        for story in _VERBS:
            yield from (Fault(kind, story, point) for point in _points(story))


def _points(story: Story) -> Iterator[Point]:
    for verb, nth in _VERBS[story]:
        yield Point("before", "intended", verb, nth)
        yield Point("after", "intended", verb, nth)
        yield Point("inside", "intended", verb, nth)
        yield Point("before", "done", verb, nth)
        yield Point("after", "done", verb, nth)
    for fact, name, nth in _FACTS[story]:
        yield Point("before", fact, name, nth)
        yield Point("after", fact, name, nth)
    if story != "undo":
        for lease in ("carrier", "environment"):
            yield Point("after", "lease taken", lease)
        yield Point("before", "lease returned", "", 1)
        yield Point("before", "lease returned", "", 2)


def _recovering() -> Iterator[Fault]:
    """Killed once, and once more while the sweep or the run that it started recovers from that."""
    firsts: dict[Story, tuple[Point, ...]] = {
        "release": (
            Point("after", "intended", "deploy"),
            Point("before", "done", "migrate"),
            Point("after", "intended", "shift"),
            Point("before", "done", "retire"),
        ),
        "rollback": (Point("inside", "intended", "deploy"), Point("before", "done", "shift")),
        "undo": (Point("after", "entered", "rolling back"),),
    }
    for story, points in firsts.items():
        for first in points:
            leave = Point("before", "done", first.name if first.fact in ("intended", "done") else "retire")
            for again in (
                Point("before", "recovered"),
                Point("after", "recovered"),
                Point("after", "lease taken", "carrier"),
                Point("after", "lease taken", "environment"),
                leave,
                Point("after", "done", leave.name),
            ):
                yield Fault("kill", story, first, again)


def _from_outside() -> Iterator[Fault]:
    """Everything else that can fail while a step is at it."""
    for kind in OUTSIDE:
        when: When = "after" if kind.startswith(("disk-", "reset-", "hole-")) else "inside"
        for story in ("release", "rollback"):
            for verb, nth in _VERBS[story]:
                yield Fault(kind, story, Point(when, "intended", verb, nth))


def chosen(faults: Iterable[Fault], seed: int, count: int | None = None) -> list[Fault]:
    """Shuffle by seed, the kinds taking turns, so that however many are taken, many kinds are among them."""
    kinds: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        kinds[fault.kind].append(fault)
    order = random.Random(seed)
    for some in kinds.values():
        order.shuffle(some)
    turns = [fault for turn in zip_longest(*kinds.values()) for fault in turn if fault]
    return turns[:count]


def sample(faults: Sequence[Fault], seed: int) -> list[Fault]:
    """Choose about twenty in which every verb occurs and every kind: a reset and a hole count as one kind each."""
    wanted_kinds, wanted_verbs = {_family(fault.kind) for fault in faults}, set(SECONDS)
    taken: list[Fault] = []
    for fault in chosen(faults, seed):
        new_kind, new_verb = _family(fault.kind) in wanted_kinds, fault.point.verb in wanted_verbs
        if new_kind and (new_verb or not wanted_verbs):
            taken.append(fault)
            wanted_kinds.discard(_family(fault.kind))
            wanted_verbs.discard(fault.point.verb)
    for fault in chosen(faults, seed):
        if _family(fault.kind) in wanted_kinds or fault.point.verb in wanted_verbs:
            taken.append(fault)
            wanted_kinds.discard(_family(fault.kind))
            wanted_verbs.discard(fault.point.verb)
    return taken


def _family(kind: str) -> str:
    return kind.partition("-")[0] if kind.startswith(("reset-", "hole-")) else kind


def dice(seed: int, fault: Fault) -> random.Random:
    """Give a fault its own chance, the same at every replay."""
    return random.Random(f"{seed} {fault.name}")


def described(fault: Fault, point: Point, chance: random.Random) -> dict[str, object]:
    """Word a point for tasks/fault.py; what fails outside freezes the flow there first, to strike at the right time."""
    inside = point.when == "inside"
    return {
        "when": "after" if inside else point.when,
        "fact": point.fact,
        "name": point.name,
        "nth": point.nth,
        "do": "kill" if fault.kind == "kill" else "stop",
        "delay": round(chance.uniform(0.1, 0.9) * SECONDS[point.verb], 3) if inside else 0.0,
    }
