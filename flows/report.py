"""What a person sees on the Prefect page: the plan at the start, the outcome at the end."""

import logging
from math import isnan

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.runtime import flow_run

from adapters.connect import Desk
from domain.canary.judge import measured
from domain.errors import ReleaseError
from domain.release.artifact import Artifact
from domain.release.diff import markdown, target_words
from domain.release.plan import Plan
from domain.release.recall import looks_of
from domain.release.service import SuccessMetric
from ledger.checkpoint import keep
from tasks.announce import announce
from tasks.record import enter
from tasks.report import report
from tasks.step import Warrant

_LOG = logging.getLogger("interlock.report")


def show(plan: Plan, release: str) -> None:
    """Put the plan on the run's page."""
    put(markdown(plan), artifact_key("plan", release), f"Plan of {release}")


def tell(sentence: str) -> str:
    """Put an outcome on the run's page and return it."""
    put(f"# {sentence}", "outcome", sentence[:200])
    return sentence


def conclude(warrant: Warrant, plan: Plan, artifact: Artifact, desk: Desk) -> str:
    """Finish a release: record it, compare target and actual, seal the journal, tell everybody."""
    report = "\n".join(success_lines(plan, warrant, desk))
    where = " → ".join(stage.environment for stage in plan.stages)
    text = f"# {plan.service} {plan.version} is released\n\n{where}, `{artifact.reference}`\n\n"
    compared = f"| success metric | target | actual | |\n|---|---|---|---|\n{report}\n"
    put(text + compared, artifact_key("outcome", warrant.release), "Outcome")
    announce(warrant, "succeeded", plan, {"report": report}, desk.post, desk.ports)
    enter(warrant, "released")  # last: a run that dies before this is continued, and repeats nothing
    seal(desk)
    return f"{plan.service} {plan.version} is released to {where}"


def seal(desk: Desk) -> None:
    """Keep a checkpoint of the journal in the store, where a cut tail can be found out."""
    if checkpoint := desk.journal.checkpoint():
        keep(desk.ports.store, checkpoint)


def file_report(warrant: Warrant, desk: Desk) -> None:
    """Put the judge's report into the store; a release never fails for want of it."""
    try:
        report(warrant, desk.ports.store)
    except ReleaseError as error:
        _LOG.warning("%s: the judge's report is not in the store: %s", warrant.release, error.message)
    except Exception:  # a bug in a drawing may stop neither a release nor its way back
        _LOG.warning("%s: the judge's report is not in the store", warrant.release, exc_info=True)


def success_lines(plan: Plan, warrant: Warrant, desk: Desk) -> list[str]:
    """Compare every success metric with what was measured in the last judged environment."""
    judged = [stage.environment for stage in plan.stages if stage.judged]
    looks = looks_of(desk.journal.entries(release=warrant.release, kinds=("looked",)), judged[-1]) if judged else []
    actual = measured(tick for _, _, tick in looks)
    return [_line(metric, actual[metric.measure]) for metric in plan.success]


def _line(metric: SuccessMetric, actual: float) -> str:
    target = target_words(metric.at_least, metric.at_most)
    if isnan(actual):
        return f"| {metric.name} | {target} | not measured | – |"
    met = (metric.at_least is None or actual >= metric.at_least) and (
        metric.at_most is None or actual <= metric.at_most
    )
    return f"| {metric.name} | {target} | {actual:.4g} | {'met' if met else 'not met'} |"


def table(key: str, rows: list[dict[str, str]], description: str) -> None:
    """Put a table on the run's page; nothing when it is empty."""
    if flow_run.get_id() and rows:
        create_table_artifact(rows, key=key, description=description)


def put(text: str, key: str, description: str) -> None:
    """Put text in Markdown on the run's page."""
    if flow_run.get_id():  # only a run has a page
        create_markdown_artifact(text, key=key, description=description)


def artifact_key(kind: str, release: str) -> str:
    """Name what a page shows of a release, in the letters that Prefect allows."""
    return f"{kind}-{''.join(c if c.isalnum() else '-' for c in release.lower())}".rstrip("-")
