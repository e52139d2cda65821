"""The judge explained in one picture: what both versions do, how sure one may be, and what was decided.

For somebody who knows no statistics: a sentence on top, a question over each panel, both versions by name. Equal traces
give equal bytes.
"""

import re
from textwrap import wrap

from domain.canary.account import svg
from domain.canary.account.headline import Names, duration, headline
from domain.canary.account.panels import panels
from domain.canary.account.sheet import LEFT, RIGHT, Sheet
from domain.canary.account.svg import Scale
from domain.canary.account.trace import Trace

WIDTH = 810.0
_TITLE, _REASON = 66, 124  # characters to a line
_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400)  # seconds
_SAID = {"promote": "may go on", "roll back": "sent back", "hold": "people asked", "drain": "people asked"}
_APART = 84.0  # pixels between two decisions that both have their words
_SHORTEST = 10  # looks that the axis has room for at least


def draw(told: Trace, names: Names) -> str:
    """Draw a trace as an SVG of its own."""
    title = headline(told, names)
    sheet = Sheet(told, names, Scale(0, max(told.looks, _SHORTEST), LEFT, RIGHT))
    shapes, y = _head(told, title, names)
    shapes += _words(sheet, y + 44)
    for panel in panels(told, names):
        y += 32
        shapes.append(svg.words(LEFT - 58, y - 9, panel.question, 13, weight=600))
        shapes.append(svg.words(RIGHT, y - 9, panel.reading, 11.5, svg.GREY, "end"))
        marks = ((sheet.x(said.looks), y, y + panel.height) for said in told.said)
        shapes += [svg.line((x, top), (x, bottom), svg.GREY, dash="2 3") for x, top, bottom in marks]
        shapes += panel.draw(sheet, y, y + panel.height)
        y += panel.height
    shapes += _seconds(sheet, y)
    return svg.picture(WIDTH, y + 44, title, shapes)


def _head(told: Trace, title: str, names: Names) -> tuple[list[str], float]:
    """Write the sentence and the judge's own words for it; returns where they end, too."""
    shapes, y = list[str](), 12.0
    for text in wrap(re.sub(r"(?<=\d) | (?=\d)", "\N{NO-BREAK SPACE}", title), _TITLE):
        y += 25
        shapes.append(svg.words(LEFT - 58, y, text, 20, weight=700))
    verdict = told.decided or told.last
    for text in wrap(f"Judge: {verdict.decision} – {names.within(verdict.reasons[0])}", _REASON)[:2]:
        y += 19
        shapes.append(svg.words(LEFT - 58, y, text, 12, svg.GREY))
    return shapes, y + 8


def _words(sheet: Sheet, y: float) -> list[str]:
    """Write what was decided before the lines of the decisions, where there is room for it."""
    shapes, free = list[str](), LEFT - _APART
    for said in sheet.told.said:
        x = sheet.x(said.looks)
        done = said.verdict.decision == "promote" and said.last
        if x - free >= _APART:
            word = "kept" if done else _SAID[said.verdict.decision]
            shapes.append(svg.words(x - 4, y, word, 11.5, svg.INK, "end"))
            free = x
    return shapes


def _seconds(sheet: Sheet, y: float) -> list[str]:
    whole = int(sheet.x.high)
    step = next((it for it in _STEPS if whole / it <= 8), _STEPS[-1])
    marks = list(range(0, whole + 1, step))
    shapes = [svg.line((sheet.x(at), y), (sheet.x(at), y + 4), svg.GREY) for at in marks]
    shapes += [svg.words(sheet.x(at), y + 17, duration(at), 11.5, svg.GREY, "middle") for at in marks]
    return [*shapes, svg.words(RIGHT, y + 34, "time watched, without pauses", 11.5, svg.GREY, "end")]
