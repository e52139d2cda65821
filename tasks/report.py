"""Keep the judge's report in the store, where it outlives the run's page."""

from functools import partial

from domain.canary.account.report import report as page_of
from domain.facts import Done
from domain.ports import Journal, Store
from domain.release.outcomes import Reported
from domain.release.plan import Plan
from domain.release.recall import plan_of
from tasks.judge import judge_of
from tasks.step import Warrant, note


@note
def report(warrant: Warrant, store: Store) -> None:
    """Write the report up to the last verdict here, once; nothing where nothing was judged.

    No step: its failure is none of the release's, and recovery must not take it for one.
    """
    judged = warrant.journal.entries(release=warrant.release, environment=warrant.environment, kinds=("judged",))
    plan = plan_of(warrant.journal.entries(release=warrant.release, kinds=("planned",)))
    if not judged or plan is None:
        return
    key = f"evidence/{warrant.release}/{warrant.environment}/judge-{judged[-1].seq}.html"
    told = warrant.journal.entries(release=warrant.release, environment=warrant.environment, kinds=("done",))
    if any(isinstance(entry.fact, Done) and entry.fact.key == key for entry in told):
        return
    page = written(warrant.journal, warrant.release, plan)
    kept = Reported(evidence=key, sha256=store.put(key, [page.encode()]))
    warrant.record(Done(key=key, verb="report", outcome=kept.model_dump(mode="json")))


def written(journal: Journal, release: str, plan: Plan) -> str:
    """Write the report of a release from the journal alone."""
    seen = journal.entries(release=release, kinds=("looked", "judged"))
    return page_of(seen, release, plan, partial(judge_of, journal, plan, release))
