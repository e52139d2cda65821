"""One case: a short life, drawn from a seed and a number, with everything that goes wrong in it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import get_args

from bench.simulation.faults import Fault, drawn
from bench.simulation.invariants import Episode, broken
from bench.simulation.life import Candidate, Life
from bench.simulation.processes import Role
from bench.simulation.shape import ENVIRONMENTS, Nature, Shape
from bench.simulation.world import played

_BAD = tuple(nature for nature in get_args(Nature) if nature != "good")

_LEFT = 130.0  # seconds after which nothing is held any more by somebody who died when all was done


@dataclass
class Result:
    """What came of a case."""

    seed: int
    number: int
    releases: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """How one release or rollback ended, after which faults, and what is wrong then."""

    fault: str
    end: str
    broken: list[str]


def live(seed: int, number: int, *, telling: bool = False) -> Result:
    """Live one case through; it stops at the first thing that is wrong."""
    random = Random(f"{seed}/{number}")
    life = Life(Shape.drawn(random), random, telling)
    result = Result(seed, number, story=life.story)
    with played(life):
        for turn in range(random.randint(3, 4)):
            _keep(result, _some_release(life, first=turn < len(life.shape.services)))
            if not result.broken and life.reversible() and random.random() < 0.25:
                _keep(result, _some_rollback(life))
            if result.broken:
                break
        else:
            good = life.commit(random.choice(life.shape.services), migrates=random.random() < 0.6)
            _keep(result, releasing(life, good))
    result.releases = len(life.states())
    return result


def releasing(life: Life, candidate: Candidate, *faults: tuple[Role, int, Fault]) -> Outcome:
    """Release one version, let happen what shall, and look once it is quiet again."""
    return _episode(life, candidate, faults, None)


def taking_back(life: Life, service: str, where: str, *faults: tuple[Role, int, Fault]) -> Outcome:
    """Take back what serves somewhere, let happen what shall, and look once it is quiet again."""
    return _episode(life, life.releasing, faults, (service, where))


def _some_release(life: Life, *, first: bool) -> Outcome:
    random, services = life.random, life.shape.services
    candidate = life.commit(
        services[len(life.candidates) % len(services)] if first else random.choice(services),
        random.choice(_BAD) if random.random() < (0.05 if first else 0.25) else "good",
        "production" if random.random() < 0.6 else random.choice(ENVIRONMENTS),
        migrates=random.random() < 0.6,
    )
    return releasing(life, candidate, *drawn(random))


def _some_rollback(life: Life) -> Outcome:
    drawn_here = [("rollback" if who == "release" else who, nth, fault) for who, nth, fault in drawn(life.random)]
    return taking_back(life, *life.random.choice(life.reversible()), *drawn_here)


def _episode(
    life: Life, candidate: Candidate, faults: Sequence[tuple[Role, int, Fault]], back: tuple[str, str] | None
) -> Outcome:
    life.faults, life.struck, life.started = faults, [], {}
    before, known, there = life.versions(), len(life.journal.entries()), len(life.candidates)
    life.tell(f"--- {'back in ' + ' '.join(back) if back else candidate} {[(*who, str(it)) for *who, it in faults]}")
    if back:
        life.roll_back(back[1], back[0])
    else:
        life.release(candidate)
    life.come_to_rest()
    life.clock.sleep(_LEFT)
    life.faults, life.outages = (), []
    astray = tuple(life.tidy_up())

    def wrong() -> list[str]:
        struck, rivals = tuple(life.struck), tuple(life.candidates[there:])
        return broken(Episode(life, candidate, bool(back), before, known, struck, rivals, astray))

    seen = Outcome(_label(life.struck, bool(faults), bool(back)), _end(life, candidate, known, bool(back)), wrong())
    stuck = [it for it in life.states() if it.phase == "stuck"]
    if seen.broken or not stuck:
        return seen
    for it in stuck:  # a person has mended what was broken
        life.roll_back(it.environment, it.service, it.release)
    life.come_to_rest()
    left = [f"a person can mend it: {it.release} is {it.phase}" for it in life.states() if it.phase == "stuck"]
    return Outcome(seen.fault, "stuck, then mended", left or wrong())


def _keep(result: Result, outcome: Outcome) -> None:
    result.outcomes[outcome.fault, outcome.end] += 1
    result.broken = outcome.broken


def _end(life: Life, candidate: Candidate, known: int, back: bool) -> str:
    if back:
        entered = life.journal.entries(kinds=("entered",), after=known)
        return str(entered[-1].fact.phase) if entered else "not begun"  # type: ignore[union-attr]  # by kind
    opened = life.journal.entries(kinds=("opened",), after=known)
    mine = [e.release for e in opened if candidate.tag in e.release]
    return next((str(it.phase) for it in life.states() if mine and it.release == mine[0]), "not begun")


def _label(struck: Sequence[Fault], planned: bool, back: bool) -> str:
    about = ", rolling back" if back else ""
    if not struck:
        return ("a fault that came too late" if planned else "nothing") + about
    return (str(struck[0].kind) if len(struck) == 1 else f"{min(len(struck), 4)} faults") + about
