"""Follow a run in the journal until it is over, or waits for people."""

import re
import time
from collections.abc import Callable

from adapters.connect import House
from cli import runs, show
from cli.explain import lines, outcome
from domain import errors
from domain.errors import Rejected, ReleaseError
from domain.facts import Opened

_BEAT = 0.5  # seconds between two looks
_LATE = 40  # looks at a run that nobody has started


def opened_by(house: House, service: str, run: str) -> str | None:
    """Find the release that a run opened; None while it has not."""
    entries = house.journal.entries(service=service, kinds=("opened",))
    return next((e.release for e in entries if isinstance(e.fact, Opened) and e.fact.run == run), None)


def follow(house: House, started: runs.Run, find: Callable[[], str | None], after: int) -> None:
    """Print what the journal says from `after` on until the run is over or waits for people.

    Returns when the run did what it was asked, or waits; otherwise raises what it ended with.
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
            return _conclude(house, release, run)
        looks += 1
        if looks == _LATE and not release:
            show.say("nobody has started the run yet: does a runner work? `make status` shows it", "yellow", show.err)
        time.sleep(_BEAT)


def _conclude(house: House, release: str | None, run: runs.Run) -> None:
    if release:
        said, step = outcome(house.journal.entries(release=release))
        show.say(f"\n{said}", "bold")
        show.say(f"next: {step}")
    if not (run.worked or run.paused):
        raise _ended(run)


def _ended(run: runs.Run) -> ReleaseError:
    """Read the error back that a run ended with, from Prefect's `Type: message`."""
    found = re.search(r"\b(Invalid|Refused|Rejected|Conflict|Unavailable): (.*)", run.message, re.DOTALL)
    if not found:
        return Rejected(f"the run is {run.state}: {run.message or 'no reason given'}", f"see {run.url}")
    kind: type[ReleaseError] = getattr(errors, found[1])
    message, _, hint = found[2].partition("\n  → ")
    return kind(message, hint or f"see {run.url}")
