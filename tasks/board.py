"""Look at a service's release branch, newest commit first."""

from domain.ports import Source
from domain.release.artifact import Commit
from domain.release.service import Service
from tasks.step import look


@look
def board(service: Service, source: Source) -> tuple[Commit, ...]:
    """List the commits of the release branch."""
    return source.history(None, source.resolve(service.source.branch).sha)
