"""A plan on the terminal: what changes is marked, what stays is dim."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.show import heading, out, plain, say
from domain.release.diff import Row, rows, target_words, way_back_rows
from domain.release.plan import Plan, Stage
from domain.schema.proof import Proven
from domain.schema.told import TIERS, costs_words

_COLOURS = {"allow": "green", "deny": "bold red"}


def whole_plan(plan: Plan) -> None:
    """Print the whole plan: every environment, the policies, when it goes back, what is success, and its hash."""
    head(plan)
    for stage in plan.stages:
        one_stage(plan, stage)
    heading("policies")
    _grid((Text(v.verdict, _COLOURS[v.verdict]), Text(v.rule), Text(v.reason)) for v in plan.verdicts)
    heading("success and failure")
    _grid((Text("success"), Text(m.name), Text(target_words(m.at_least, m.at_most))) for m in plan.success)
    limit = f"above {plan.criteria.error_ratio:g} × the stable error rate and above {plan.criteria.error_floor:.2%}"
    say(f"rolls back by itself {limit}")
    say(f"plan {plan.hash}", "bold")


def head(plan: Plan, console: Console = out) -> None:
    """Print what is released: version, commit, who asked, and every change since the last time."""
    heading(f"{plan.service} {plan.version}", console)
    because = f": {plan.request.reason}" if plan.request.reason else ""
    tag, sha = plan.source_tag or "no tag", plan.commit.sha[:12]
    say(f"{tag} ({sha}), asked for by {plan.request.requester}{because}", console=console)
    for subject in plan.changelog:
        say(f"  - {subject}", console=console)


def one_stage(plan: Plan, stage: Stage, console: Console = out) -> None:
    """Print one environment: what runs there now, what will, and the way back on every plane."""
    heading(stage.environment, console)
    _grid((_line(row) for row in rows(plan, stage)), console)
    say("way back", "dim", console)
    _grid(((Text(" "), Text(plane), Text(words)) for plane, words in way_back_rows(stage)), console)


def proven(proof: Proven, console: Console = out) -> None:
    """Print what was seen when the way back of a schema was walked on a copy."""
    say(f"way back of the schema: walked on a copy in {proof.seconds:.1f} s, {TIERS[proof.tier]}", "green", console)
    _grid(((Text(" "), Text(label), Text(costs_words(cost))) for label, cost in proof.costs.items()), console)
    for name in proof.unvalidated:
        say(f"not validated, so that old rows may break it: {name}", "yellow", console)


def _line(row: Row) -> tuple[Text, ...]:
    """Mark a change; a line without a `now`, such as approvals, is not compared with anything."""
    if not row.now:
        return Text(" "), Text(row.what), Text(row.then)
    if not row.changed:
        return Text(" "), Text(row.what, "dim"), Text(row.then, "dim")
    change = Text.assemble((row.now, "red"), (" → ", "dim"), (row.then, "green"))
    return Text("●", "yellow"), Text(row.what, "bold"), change


def _grid(lines: Iterable[tuple[Text, ...]], console: Console = out) -> None:
    grid = Table.grid(padding=(0, 2))
    for line in lines:
        for cell in line:
            cell.plain = plain(cell.plain)
        grid.add_row(*line)
    for column in grid.columns:
        column.overflow = "fold"
    console.print(grid)
