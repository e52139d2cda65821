"""What a person sees on the Prefect page: the plan at the start, the outcome at the end."""

from math import isnan

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.runtime import flow_run

from adapters.connect import Desk
from domain.canary.judge import measured
from domain.release.artifact import Artifact
from domain.release.diff import markdown, target_words
from domain.release.plan import Plan
from domain.release.recall import looks_of
from domain.release.service import SuccessMetric
from ledger.checkpoint import keep
from tasks.announce import announce
from tasks.record import enter
from tasks.step import Warrant


def show(plan: Plan, release: str) -> None:
    """Put the plan on the run's page."""
    _put(markdown(plan), _key("plan", release), f"Plan of {release}")


def tell(sentence: str) -> str:
    """Put an outcome on the run's page and return it."""
    _put(f"# {sentence}", "outcome", sentence[:200])
    return sentence


def conclude(warrant: Warrant, plan: Plan, artifact: Artifact, desk: Desk) -> str:
    """Finish a release: record it, compare target and actual, seal the journal, tell everybody."""
    report = "\n".join(success_lines(plan, warrant, desk))
    where = " → ".join(stage.environment for stage in plan.stages)
    text = f"# {plan.service} {plan.version} is released\n\n{where}, `{artifact.reference}`\n\n"
    compared = f"| success metric | target | actual | |\n|---|---|---|---|\n{report}\n"
    _put(text + compared, _key("outcome", warrant.release), "Outcome")
    announce(warrant, "succeeded", plan, {"report": report}, desk.post, desk.ports)
    enter(warrant, "released")  # last: a run that dies before this is continued, and repeats nothing
    seal(desk)
    return f"{plan.service} {plan.version} is released to {where}"


def seal(desk: Desk) -> None:
    """Keep a checkpoint of the journal in the store, where a cut tail can be found out."""
    if checkpoint := desk.journal.checkpoint():
        keep(desk.ports.store, checkpoint)


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


def _put(text: str, key: str, description: str) -> None:
    if flow_run.get_id():  # only a run has a page
        create_markdown_artifact(text, key=key, description=description)


def _key(kind: str, release: str) -> str:
    return f"{kind}-{''.join(c if c.isalnum() else '-' for c in release.lower())}".rstrip("-")
