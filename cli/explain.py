"""`interlock explain`: a release, told from the journal."""

from collections.abc import Sequence
from typing import Annotated

import typer

from adapters.connect import open_house
from cli import options, show
from cli.find import story_of, waiting
from domain.environment.drift import says
from domain.facts import Compared, Done, Entry, Failed, Looked
from domain.release.explain import brief, story
from domain.release.recall import comparison_of
from domain.release.state import fold

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: `interlock explain shop-v1.2.0-3f9c01 --looks`")
def explain(
    release: options.Release,
    looks: Annotated[bool, typer.Option("--looks", help="Show every look of the judge, one line a second.")] = False,
    short: Annotated[bool, typer.Option("--brief", help="Ten lines: how it began, what happened, the end.")] = False,
    json: options.Json = False,
) -> None:
    """Tell what happened to a release, and why.

    Line by line from the journal alone; at the end the outcome, and the next command to type.
    """
    entries = story_of(open_house().journal, release)
    said, step = outcome(entries)
    whole = fold(entries).get(release)  # a reconciliation is no release
    entries = brief(entries) if short else entries
    if json:
        told = [dict(zip(("at", "environment", "actor", "says"), line, strict=True)) for line in lines(entries, looks)]
        show.data({"release": whole, "story": told, "outcome": said, "next": step})
        return
    show.heading(release)
    for line in lines(entries, looks):
        show.line(*line)
    show.say(f"\n{said}", "bold")
    show.say(f"next: {step}")


def lines(entries: Sequence[Entry], looks: bool = False) -> list[tuple[str, str, str, str]]:
    """Tell entries as (time, environment, actor, sentence), with the judge's single looks if they are wanted."""
    told: list[tuple[str, str, str, str]] = []
    for entry in entries:
        told += story([entry])
        if looks and isinstance(entry.fact, Looked):
            told.append((entry.at, entry.environment, entry.actor, _look(entry.fact)))
    return told


def _look(fact: Looked) -> str:
    (stable, stable_bad), (candidate, candidate_bad) = fact.tick.total("stable"), fact.tick.total("candidate")
    return (
        f"look at {fact.share / 100:g} %: stable {stable_bad} of {stable} failed, "
        f"candidate {candidate_bad} of {candidate} failed"
    )


def outcome(entries: Sequence[Entry]) -> tuple[str, str]:
    """Say in one sentence where a release is, and which command a person would type next."""
    if comparison_of(entries):
        return _reconciled(entries)
    if not (known := fold(entries)):
        return _drilled(entries)
    [now] = known.values()
    name = f"{now.service} {now.version}".strip()
    where = f" in {now.environment}" if now.environment else ""
    because = f": {now.reason}" if now.reason else ""
    plan, status = f"interlock plan {now.service} --ref …", f"interlock status {now.service}"
    if gate := waiting(entries):
        said, step = f"waits for people to answer: {gate.question}{where}?", f"interlock approve {now.release}"
    elif now.phase is None:
        said, step = "was asked for and has no plan: refused, or still being planned", plan
    elif now.phase == "aborted":
        said, step = f"was aborted before anything changed{where}{because}", plan
    elif now.phase == "rolled back":
        said, step = f"is out of {now.environment} again{because}", plan
    elif now.phase == "stuck":
        back = f"interlock rollback {now.service} {now.environment} --reason …"
        said, step = f"is stuck on its way back{where}{because}", back
    elif now.phase == "released":
        said, step = "is released", status
    else:
        said, step = f"is under way: {now.phase}{where}", status
    return f"{name} {said}", step


def _drilled(entries: Sequence[Entry]) -> tuple[str, str]:
    """Say the same of a drill."""
    if not entries:
        return "nothing serves there in the place of something else: there is no way back to walk", "interlock status"
    place = f"{entries[-1].service} {entries[-1].environment}"
    walked = [entry.fact for entry in entries if isinstance(entry.fact, Done | Failed) and entry.fact.verb == "drill"]
    if walked and isinstance(walked[-1], Done):
        return f"{place}: the way back holds", f"interlock status {entries[-1].service}"
    return f"{place}: the way back was not walked to its end, or does not hold", f"interlock drill {place}"


def _reconciled(entries: Sequence[Entry]) -> tuple[str, str]:
    """Say the same of a reconciliation."""
    last, seen = next((e, e.fact) for e in reversed(entries) if isinstance(e.fact, Compared))
    place = f"{last.service} {last.environment}"
    if waiting(entries):
        return f"{place} waits for people: may the world be brought back?", f"interlock approve {last.release}"
    again = f"interlock reconcile {place}" + (" --repair" if any(drift.repair for drift in seen.drifts) else "")
    return f"{place}: {says(seen.drifts)}", again
