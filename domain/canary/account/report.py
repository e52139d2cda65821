"""The judge's report of a release: one HTML page that needs nothing from elsewhere. Equal journals, equal bytes."""

from collections.abc import Callable, Sequence

from domain.canary.account import figures
from domain.canary.account.chart import draw
from domain.canary.account.figures import Table
from domain.canary.account.headline import Names, headline
from domain.canary.account.svg import FONT, safe
from domain.canary.account.trace import Trace, judged_in, trace
from domain.canary.judge import Judge
from domain.facts import Entry
from domain.release.plan import Plan

_STYLE = f"""
body {{ font: 15px/1.5 {FONT}; color: #1a1a1a; background: #fff; }}
body {{ max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; margin-bottom: .2rem; }}
h2 {{ font-size: 1.2rem; margin: 2rem 0 .6rem; }}
h3 {{ font-size: 1rem; margin: 1.8rem 0 .2rem; }}
p {{ color: #5f5f5f; margin: .2rem 0 .4rem; }}
svg {{ width: 100%; height: auto; border: 1px solid #e2e2e2; border-radius: 6px; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid #e2e2e2; }}
td:not(:last-child), th {{ white-space: nowrap; }}
footer {{ color: #5f5f5f; margin: 2.5rem 0; font-size: .85rem; }}
""".strip()


def report(entries: Sequence[Entry], release: str, plan: Plan, seat: Callable[[str], Judge]) -> str:
    """Write the page of a release from its looks and verdicts, in order; the last environment is on top.

    `seat` makes the judge of an environment.
    """
    told = [
        (place, trace(entries, place, seat(place)), names_of(plan, place)) for place in reversed(judged_in(entries))
    ]
    title = headline(*told[0][1:]) if told else f"{release}: the judge has seen nothing"
    about = f"release {release}, plan {plan.hash[:12]}"
    parts = [
        f"<h1>{safe(f'The judge on {plan.service} {plan.version}')}</h1>",
        f"<p>{safe(about)}</p>",
        *(part for place, one, names in told for part in _section(place, one, names)),
        _table(figures.asked(plan.criteria)),
        f"<footer>Written from the journal alone: <code>interlock replay {safe(release)} --report FILE</code></footer>",
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{safe(title)}</title>'
    page = f'<html lang="en">\n<head>{head}\n<style>\n{_STYLE}\n</style></head>\n<body>'
    return "\n".join(["<!doctype html>", page, *parts, "</body>", "</html>", ""])


def names_of(plan: Plan, environment: str) -> Names:
    """Name both versions of an environment."""
    previous = plan.stage(environment).previous
    return Names.of(plan.version, previous.deployment.version if previous else "nothing")


def _section(place: str, told: Trace, names: Names) -> list[str]:
    listed = (figures.decisions, figures.steps, figures.versions, figures.evidence, figures.replicas)
    spread = f"<p>How much healthy replicas differ: {safe(told.spread)}.</p>"
    return [f"<h2>{safe(place)}</h2>", draw(told, names), *(_table(one(told, names)) for one in listed), spread]


def _table(table: Table) -> str:
    rows = ["".join(f"<td>{safe(cell)}</td>" for cell in row) for row in table.rows]
    head = "".join(f"<th>{safe(column)}</th>" for column in table.columns)
    body = "\n".join(f"<tr>{row}</tr>" for row in (head, *rows))
    note = f"<p>{safe(table.note)}</p>\n" if table.note else ""
    return f'<h3>{safe(table.title)}</h3>\n{note}<div class="wide"><table>\n{body}\n</table></div>'
