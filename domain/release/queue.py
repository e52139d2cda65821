"""Who waits for an environment, in which order, and who takes whose place: folds over one service's entries, in order.

A release waits from its first `queued` fact until it takes the lease, is over or is superseded; should it wait once
more, it stands at the end. Whoever died waiting keeps its place: it is for the sweep to continue or to end it.
"""

from collections.abc import Iterable, Sequence
from math import inf

from domain.facts import Entered, Entry, Intended, LeaseTaken, Opened, Queued, Superseded
from domain.release.recall import phase_of
from domain.release.state import NEXT, OVER
from domain.value import Value

KINDS = ("opened", "entered", "intended", "queued", "superseded", "lease taken")
"""The facts that matter here; the other ones need not be read."""
TRAFFIC = frozenset({"attach", "shift"})
"""The verbs that touch traffic. Their intent is in the journal before the router hears of them."""


class Answer(Value):
    """Yes or no, and why."""

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


def waiting(entries: Iterable[Entry], environment: str) -> tuple[str, ...]:
    """List the releases that wait for an environment, the next one first."""
    line: dict[str, None] = {}
    gone, moved = set[str](), set[str]()
    for entry in entries:
        here, release = entry.environment == environment, entry.release
        match entry.fact:
            case Entered(phase=phase) if phase in OVER:
                gone.add(release)
            case Superseded() if here and release not in moved:
                gone.add(release)
            case Intended(verb=verb) if here and verb in TRAFFIC:
                moved.add(release)
            case LeaseTaken() if here:
                line.pop(release, None)
            case Queued() if here:
                line.setdefault(release)
    return tuple(release for release in line if release not in gone)


def ahead(entries: Iterable[Entry], environment: str, release: str) -> tuple[str, ...]:
    """List those who come before a release; for one that does not wait yet, everybody who does."""
    line = waiting(entries, environment)
    return line[: line.index(release)] if release in line else line


def may_enter(entries: Iterable[Entry], environment: str, release: str) -> bool:
    """Tell whether a release may try for the lease: nobody is ahead of it."""
    return not ahead(entries, environment, release)


def superseded_by(entries: Iterable[Entry], environment: str, release: str) -> str | None:
    """Name the release that took this one's place; None when none did, or came too late: traffic was touched before.

    The journal's order decides. So both sides write first and then look here: the newer release writes `superseded`,
    and goes on only if it counts; the older one writes its intent, and touches traffic only if it was not superseded.
    """
    for entry in entries:
        if (entry.release, entry.environment) == (release, environment):
            match entry.fact:
                case Intended(verb=verb) if verb in TRAFFIC:
                    return None
                case Superseded(by=by):
                    return by
    return None


def may_supersede(entries: Sequence[Entry], environment: str, older: str, newer: str) -> Answer:
    """Tell whether a release may take the place of an older one of its service, which then is aborted."""
    opened = {entry.release: entry.seq for entry in reversed(entries) if isinstance(entry.fact, Opened)}
    own = [entry for entry in entries if entry.release == older]
    phase, by = phase_of(own), superseded_by(own, environment, older)
    moved = any(e.environment == environment and isinstance(e.fact, Intended) and e.fact.verb in TRAFFIC for e in own)
    why_not = {
        f"{newer} is not newer than {older}": opened.get(newer, 0) <= opened.get(older, inf),
        f"{older} is {phase} already": phase in OVER,
        f"{older} is superseded by {by} already": by is not None,
        f"{older} has touched traffic in {environment}: it finishes, or is taken back": moved,
        f"{older} is {phase}: it finishes, or is taken back": phase is not None and "aborted" not in NEXT[phase],
    }
    if refused := next((reason for reason, applies in why_not.items() if applies), None):
        return Answer(allowed=False, reason=refused)
    return Answer(allowed=True, reason=f"{newer} is newer, and {older} has not touched traffic in {environment}")
