"""What answers a failure: undo what was done to the environment, or abort where nothing was."""

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.connect import Desk
from domain.errors import ReleaseError
from domain.release import state
from domain.release.recall import phase_of, plan_of
from flows.rollback import rollback
from tasks.announce import announce
from tasks.record import enter
from tasks.step import Warrant


@contextmanager
def way_back_set(warrant: Warrant, desk: Desk) -> Iterator[None]:
    """Answer any failure: undo what was done to the environment, or abort where nothing was."""
    try:
        yield
    except ReleaseError as error:
        phase = phase_of(desk.journal.entries(release=warrant.release, kinds=("entered",)))
        if phase in ("deploying", "baking"):
            rollback(warrant.service, warrant.environment, error.message, warrant.actor, warrant.release)
        elif phase not in (*state.OVER, "rolling back", "stuck"):
            enter(warrant, "aborted", error.message)
            _say_aborted(warrant, error, desk)
        raise


def _say_aborted(warrant: Warrant, error: ReleaseError, desk: Desk) -> None:
    plan = plan_of(desk.journal.entries(release=warrant.release, kinds=("planned",)))
    if plan:
        announce(warrant, "aborted", plan, {"reason": error.message}, desk.post, desk.ports)
