"""Tell people; a channel that is down delays nobody."""

from domain.errors import ReleaseError
from domain.facts import Announced
from domain.ports import Ports, Post
from domain.release.notice import Occasion, notices
from domain.release.plan import Plan
from tasks.step import Warrant, note


@note
def announce(
    warrant: Warrant, occasion: Occasion, plan: Plan | None, about: dict[str, str], post: Post, ports: Ports
) -> None:
    """Queue the message of every group and try to deliver; what fails is tried again later from the outbox.

    Without a plan the words are those of `about`. Nobody is told the same thing twice, however often a release is
    entered again.
    """
    question, where = about.get("question", ""), warrant.environment
    told = warrant.journal.entries(release=warrant.release, environment=where or None, kinds=("announced",))
    if any(e.fact.model_dump(include={"occasion", "about"}) == {"occasion": occasion, "about": question} for e in told):
        return
    known = {"release": warrant.release, "service": warrant.service, "environment": warrant.environment}
    words = {**known, **(_words(plan) if plan else {}), **about}
    written = notices(occasion, words, f"{warrant.release}/{warrant.environment}/{question}")
    for notice in written:
        post.enqueue(notice.key, notice.group, notice.title, notice.body)
    warrant.record(Announced(occasion=occasion, about=question, groups=tuple(notice.group for notice in written)))
    try:
        post.deliver(ports.notices, ports.clock.now())
    except ReleaseError:
        return  # the outbox keeps them; a release never fails because a channel is down


def _words(plan: Plan) -> dict[str, str]:
    return {
        "version": plan.version,
        "commit": plan.commit.sha[:12],
        "environments": " → ".join(stage.environment for stage in plan.stages),
        "changes": "\n".join(f"- {subject}" for subject in plan.changelog),
    }
