"""Write down where a release is."""

from domain.facts import Entered, NowServing, Phase
from domain.release.plan import Settled
from domain.release.recall import entered
from tasks.step import Warrant, look


@look
def enter(warrant: Warrant, phase: Phase, reason: str = "") -> None:
    """Enter a phase; a phase already entered in this environment is left alone."""
    entries = warrant.journal.entries(release=warrant.release, kinds=("entered",))
    if entered(entries, phase, warrant.environment) is None:
        warrant.record(Entered(phase=phase, reason=reason))


@look
def settle(warrant: Warrant, settled: Settled) -> None:
    """Record what serves in the environment from here on."""
    earlier = warrant.journal.entries(release=warrant.release, environment=warrant.environment, kinds=("now serving",))
    if not any(isinstance(e.fact, NowServing) and e.fact.settled == settled for e in earlier):
        warrant.record(NowServing(settled=settled))
