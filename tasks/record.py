"""Write down where a release is."""

from domain.facts import Entered, NowServing, Phase
from domain.release import standing
from domain.release.plan import Plan, Settled, Stage
from domain.release.recall import entered, phase_of
from domain.release.state import NEXT, changing
from tasks.step import Warrant, note


@note
def enter(warrant: Warrant, phase: Phase, reason: str = "") -> None:
    """Enter a phase; one that was entered in this environment before, and cannot follow now, is left alone."""
    entries = warrant.journal.entries(release=warrant.release, kinds=("entered",))
    now = phase_of(entries)
    again = entered(entries, phase, warrant.environment) is not None
    if again and now is not None and phase not in NEXT[now]:
        return
    warrant.record(Entered(phase=phase, reason=reason))


@note
def begin(warrant: Warrant, stage: Stage) -> None:
    """Begin to change the environment; raises Conflict when it is no longer as the plan found it."""
    own = warrant.journal.entries(release=warrant.release, kinds=("entered",))
    if entered(own, "deploying", warrant.environment) is None:
        there = warrant.journal.entries(service=warrant.service, environment=warrant.environment)
        where = f"{warrant.service} in {warrant.environment}"
        standing.insist_as_planned(standing.fold(there), stage.previous, where, changing(there, warrant.environment))
    enter(warrant, "deploying")


@note
def settle(warrant: Warrant, settled: Settled | None) -> None:
    """Record what serves in the environment from here on; None: nothing."""
    earlier = warrant.journal.entries(release=warrant.release, environment=warrant.environment, kinds=("now serving",))
    if not any(isinstance(e.fact, NowServing) and e.fact.settled == settled for e in earlier):
        warrant.record(NowServing(settled=settled))


@note
def remaining(warrant: Warrant, plan: Plan) -> tuple[Stage, ...]:
    """List the stages that have not settled yet."""
    entries = warrant.journal.entries(release=warrant.release, kinds=("entered",))
    return tuple(stage for stage in plan.stages if entered(entries, "settled", stage.environment) is None)
