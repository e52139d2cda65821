"""What the commands print: sentences, tables, plans. Data goes to stdout, complaints to stderr."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from domain.errors import ReleaseError

# Without a terminal rich assumes 80 columns; a log or a pipe has room for more.
_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
out = Console(width=_WIDTH, highlight=False, markup=False, emoji=False)
err = Console(width=_WIDTH, highlight=False, markup=False, emoji=False, stderr=True)


def complain(error: ReleaseError) -> None:
    """Say what is wrong and what to do about it, on stderr."""
    err.print(Text.assemble(("error: ", "bold red"), plain(error.message)), soft_wrap=True)
    if error.hint:
        err.print(Text.assemble(("→ ", "bold"), plain(error.hint)), soft_wrap=True)


def say(text: str, style: str = "", console: Console = out) -> None:
    """Print one sentence, however long."""
    console.print(Text(plain(text), style=style), soft_wrap=True)


def plain(text: str) -> str:
    """Take out what could steer a terminal: a commit's subject must not repaint what somebody is about to sign."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def data(thing: BaseModel | Mapping[str, Any] | Sequence[Any]) -> None:
    """Print JSON, as the journal would write it."""
    print(json.dumps(thing, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    nothing: str = "",
    console: Console = out,
) -> None:
    """Print a table, or say that there is `nothing` to show."""
    filled = list(rows)
    if not filled:
        say(nothing or f"{title}: none", "dim", console)
        return
    grid = Table(*columns, title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in grid.columns:
        column.overflow = "fold"
    for row in filled:
        grid.add_row(*(plain(cell) if isinstance(cell, str) else cell for cell in row))
    console.print(grid)


def heading(text: str, console: Console = out) -> None:
    """Print a line across the screen with a name in it."""
    console.print(Rule(Text(plain(text), style="bold"), align="left", style="dim"))


def when(at: str) -> str:
    """Shorten a time of the journal to the second: `2026-11-21 10:04:31Z`."""
    return f"{at[:10]} {at[11:19]}Z" if at else "–"


def line(at: str, environment: str, actor: str, says: str) -> None:
    """Print one line of a release's story."""
    head = ((f"{at[5:10]} {at[11:19]} ", "dim"), (f"{environment or '·':<11} ", "cyan"), (f"{actor:<10} ", "dim"))
    out.print(Text.assemble(*head, plain(says)), soft_wrap=True)
