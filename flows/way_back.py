"""What answers a failure: undo what was done to the environment, or abort where nothing was."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from adapters.connect import Desk
from domain.errors import ReleaseError
from domain.release import state
from domain.release.recall import phase_of, plan_of
from flows.rollback import rollback
from flows.take_back import traffic_first
from tasks.announce import announce
from tasks.record import enter
from tasks.step import Warrant


@contextmanager
def way_back_set(warrant: Warrant, desk: Desk) -> Iterator[None]:
    """Answer any failure, expected or not: undo what was done to the environment, or abort where nothing was."""
    try:
        yield
    except Exception as error:  # a time-out or a bug must not leave an environment half changed either
        if warrant.lost():
            raise  # whoever took over goes on from the journal, and answers for it
        reason = error.message if isinstance(error, ReleaseError) else f"{type(error).__name__}: {error}"
        phase = phase_of(desk.journal.entries(release=warrant.release, kinds=("entered",)))
        if phase in ("deploying", "baking"):
            if not warrant.environment:
                raise  # whose lease was lost on the way out is answered for by the sweep: nothing is held here
            with suppress(ReleaseError):  # first of all: whoever finds the release from here on finishes the undo
                enter(warrant, "rolling back", reason)
            traffic_first(warrant, desk)
            rollback(warrant.service, warrant.environment, reason, warrant.actor, warrant.release)
        elif phase not in (*state.OVER, "rolling back", "stuck"):
            _say_aborted(warrant, reason, desk)
            enter(warrant, "aborted", reason)
        raise


def _say_aborted(warrant: Warrant, reason: str, desk: Desk) -> None:
    plan = plan_of(desk.journal.entries(release=warrant.release, kinds=("planned",)))
    if plan:
        announce(warrant, "aborted", plan, {"reason": reason}, desk.post, desk.ports)
