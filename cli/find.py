"""Find what people mean: a release by its name, themselves, and the question that waits for them."""

import subprocess
from collections.abc import Iterable
from difflib import get_close_matches

from domain.errors import Invalid
from domain.facts import Entry, GateOpened
from domain.policy.approval import Gate, Quorum
from domain.policy.people import People, Person
from domain.ports import Journal
from domain.release.recall import comparison_of, request_of

_BESIDE = ("approved", "not counted", "announced", "lease taken", "lease returned")  # what may follow a question


def story_of(journal: Journal, release: str) -> tuple[Entry, ...]:
    """Read all entries of a release. Raises Invalid with the nearest names when there is no such release."""
    entries = journal.entries(release=release)
    if request_of(entries) is None and comparison_of(entries) is None:
        known = [entry.release for entry in journal.entries(kinds=("opened",))]
        near = get_close_matches(release, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`interlock status` lists releases"
        raise Invalid(f"release {release!r} is not in the journal", hint)
    return entries


def oneself(given: str, people: People) -> Person:
    """Name the person at the keyboard: as given, else whom git says. Raises Invalid when people.yaml has no such."""
    known = f"known: {', '.join(sorted(person.name for person in people.people)) or 'nobody yet'}"
    if given:
        if person := people.named(given):
            return person
        raise Invalid(f"{given!r} is not in people.yaml", known)
    for key in ("user.email", "user.name"):
        if person := people.named(_git(key)):
            return person
    raise Invalid("people.yaml does not know your git identity", f"give your name, or set INTERLOCK_ME; {known}")


def _git(key: str) -> str:
    try:
        asked = subprocess.run(["git", "config", key], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""  # without git there is no git identity
    return asked.stdout.strip()


def waiting(entries: Iterable[Entry]) -> Gate | None:
    """Find the question a release waits with just now: the last one, while nothing happened since but answers."""
    last = next((entry.fact for entry in reversed(list(entries)) if entry.fact.kind not in _BESIDE), None)
    return last.gate if isinstance(last, GateOpened) else None


def who_may(gate: Gate, counted: Quorum, people: People) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """List every empty seat of a gate with the people who may still fill it."""
    free = [
        person
        for person in people.people
        if person.keys and not {person.name, person.email} & gate.barred and person.name not in counted.filled.values()
    ]
    return tuple(
        (" or ".join(seat), tuple(person.name for person in free if set(person.roles) & set(seat)))
        for seat in counted.missing
    )
