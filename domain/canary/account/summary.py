"""The judge's chart and its numbers as Markdown, for a page that shows pictures only from inside the text."""

from base64 import b64encode
from collections.abc import Sequence

from domain.canary.account import figures
from domain.canary.account.chart import draw
from domain.canary.account.figures import Table
from domain.canary.account.headline import Names
from domain.canary.account.svg import safe
from domain.canary.account.trace import Trace


def summary(told: Trace, names: Names) -> str:
    """Write the chart as a data URL, then both versions, the evidence and the decisions."""
    chart = b64encode(draw(told, names).encode()).decode()
    listed = [one(told, names) for one in (figures.versions, figures.evidence, figures.decisions)]
    return "\n\n".join([f"![The judge's chart](data:image/svg+xml;base64,{chart})", *map(_table, listed)]) + "\n"


def _table(table: Table) -> str:
    note = f"{_cell(table.note)}\n\n" if table.note else ""
    lines = [_row(table.columns), "|---" * len(table.columns) + "|", *map(_row, table.rows)]
    return f"### {table.title}\n\n{note}" + "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    """Escape what Markdown or HTML would take for its own."""
    return "".join(
        f"\\{c}" if c in "\\`*_[]|~#" else c for c in safe(text).replace("&#x27;", "'").replace("&quot;", '"')
    )
