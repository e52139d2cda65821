"""`interlock replay`: what the judge decided, once more from what it saw."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from adapters.connect import open_house
from cli import options, show
from cli.find import story_of
from config.read import read
from domain.canary.criteria import Criteria
from domain.canary.replay import Replayed, replay
from domain.errors import Conflict, Invalid
from domain.release.recall import plan_of
from tasks.judge import judge_of
from tasks.report import written

app = typer.Typer(add_completion=False)


@app.command("replay", epilog="Example: `interlock replay shop-v1.2.0-3f9c01 --report shop.html`")
def again(
    release: options.Release,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="Other criteria: what would they have decided?"),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write the judge's report, too, as one HTML page."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Reproduce every verdict of the judge from the looks in the journal, bit for bit.

    Exit code 1 when one comes out differently. With --policy the same looks are judged by other criteria instead.
    """
    if policy and page:
        raise Invalid("--report tells what was decided, --policy what was not", "leave one of them out")
    house = open_house()
    plan = plan_of(story_of(house.journal, release))
    if plan is None:
        raise Invalid(f"{release} has no plan: nothing was judged", "`interlock status` lists releases")
    if page:
        _keep(page, written(house.journal, release, plan))
    seen = house.journal.entries(release=release, kinds=("looked", "judged"))
    criteria = _criteria(policy) if policy else plan.criteria
    told = replay(seen, partial(judge_of, house.journal, plan, release, criteria=criteria))
    if json:
        show.data([one.model_dump(mode="json") | {"same": one.same} for one in told])
    else:
        show.heading(f"{release}: {len(told)} verdicts")
        for one in told:
            show.say(_line(one, other=policy is not None))
    if policy is None and (changed := [one for one in told if not one.same]):
        where = ", ".join(f"{one.environment} at {one.share / 100:g} %" for one in changed)
        raise Conflict(
            f"{release}: another verdict than was recorded: {where}", "the judge was changed since, or the record"
        )


def _line(one: Replayed, *, other: bool) -> str:
    place = f"{one.environment} at {one.share / 100:g} %, {one.second} looks"
    recorded = f"{one.recorded.decision} – {one.recorded.reasons[0]}"
    if not other:
        return f"{place}: {'the same' if one.same else 'ANOTHER'}: {recorded}"
    when = f"would decide at look {one.decided}" if one.decided else "would still wait"
    return f"{place}: was {one.recorded.decision}; this policy {when}: {one.now.decision} – {one.now.reasons[0]}"


def _keep(file: Path, page: str) -> None:
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise Invalid(f"{file}: {error.strerror}", "name a file in a folder where you may write") from error


def _criteria(file: Path) -> Criteria:
    problems: list[str] = []
    criteria = read(file, str(file), Criteria, problems)
    if criteria is None:
        raise Invalid("\n".join(problems), "the keys of `criteria` in a service's file")
    return criteria
