"""Follow a run in the journal until it is over, or waits for people."""

import re
import time
from collections.abc import Callable

from adapters.connect import House
from cli import runs, show
from cli.explain import lines, outcome
from cli.find import waiting
from domain import errors
from domain.errors import Rejected, ReleaseError
from domain.facts import Opened, Phase
from domain.release.recall import phase_of

_BEAT = 0.5  # seconds between two looks
_LATE = 40  # looks at a run that nobody has started


def opened_by(house: House, service: str, run: str) -> str | None:
    """Find the release that a run opened; None while it has not."""
    entries = house.journal.entries(service=service, kinds=("opened",))
    return next((e.release for e in entries if isinstance(e.fact, Opened) and e.fact.run == run), None)


def follow(house: House, started: runs.Run, find: Callable[[], str | None], after: int, good: Phase) -> None:
    """Print what the journal says from `after` on until the run is over or waits for people.

    Returns when the release is in the phase `good`, or waits. Raises what the run ended with otherwise.
    """
    release: str | None = None
    looks = 0
    while True:
        run = runs.look(started.id, house.settings.prefect)  # before the journal, so that its last words are not missed
        if release := release or find():
            for entry in house.journal.entries(release=release, after=after):
                after = entry.seq
                for told in lines([entry]):
                    show.line(*told)
        if run.over or run.paused:
            return _conclude(house, release, run, good)
        looks += 1
        if looks == _LATE and not release:
            show.say("nobody has started the run yet: does a runner work? `make status` shows it", "yellow", show.err)
        time.sleep(_BEAT)


def _conclude(house: House, release: str | None, run: runs.Run, good: Phase) -> None:
    entries = house.journal.entries(release=release) if release else ()
    if not release or (phase_of(entries) is None):
        raise _ended(run)
    said, step = outcome(entries)
    if phase_of(entries) != good and not waiting(entries):
        failed = _ended(run)
        raise type(failed)(said, step)
    show.say(f"\n{said}", "bold")
    show.say(f"next: {step}")


def _ended(run: runs.Run) -> ReleaseError:
    """Read the error back that a run ended with, from Prefect's `Type: message`."""
    found = re.search(r"\b(Invalid|Refused|Rejected|Conflict|Unavailable): (.*)", run.message, re.DOTALL)
    if not found:
        return Rejected(f"the run is {run.state}: {run.message or 'no reason given'}", f"see {run.url}")
    kind: type[ReleaseError] = getattr(errors, found[1])
    message, _, hint = found[2].partition("\n  → ")
    return kind(message, hint or f"see {run.url}")
