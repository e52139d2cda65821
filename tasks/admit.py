"""Let a release in: a new one, or the one this run or an operator continues."""

from collections.abc import Mapping

from domain.environment.profile import Environment
from domain.environment.topology import path_to
from domain.errors import Invalid
from domain.facts import Opened
from domain.ports import Journal, Leases
from domain.release.plan import Request
from domain.release.recall import request_of
from tasks.step import Warrant, note


@note
def admit(
    journal: Journal, leases: Leases, wanted: Request, environments: Mapping[str, Environment], run: str, resume: str
) -> tuple[Warrant, Request]:
    """Return the authority of the release and what was asked for.

    A run that comes back after a pause finds its own release; `resume` names one whose run died. Raises Invalid for an
    unknown release, environment or an empty requester.
    """
    release = resume or _own(journal, wanted.service, run) or f"{wanted.service}-{_slug(wanted.ref)}-{run[:6]}"
    asked = request_of(journal.entries(release=release, kinds=("opened",)))
    if asked is None and resume:
        raise Invalid(f"release {resume!r} is not in the journal", "`interlock status` lists releases")
    if asked is None:
        if not wanted.requester:
            raise Invalid("requester: missing", "give your name as it stands in people.yaml")
        asked = wanted.model_copy(update={"environments": path_to(wanted.environments[-1], environments)})
    warrant = Warrant(journal=journal, leases=leases, release=release, service=asked.service, actor=asked.requester)
    return warrant, asked


def _own(journal: Journal, service: str, run: str) -> str | None:
    entries = journal.entries(service=service, kinds=("opened",))
    return next((e.release for e in entries if isinstance(e.fact, Opened) and e.fact.run == run), None)


def _slug(ref: str) -> str:
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in ref)[:24]
