"""Drawing in SVG: a few shapes, an axis, and words that cannot break out. The same calls give the same bytes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeVar

INK, GREY, GRID = "#1a1a1a", "#5f5f5f", "#e2e2e2"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"

Point = tuple[float, float]
T = TypeVar("T")


@dataclass(frozen=True)
class Scale:
    """Maps values from `low` to `high` onto pixels; what lies beyond is put at the edge. `log`: low must be above 0."""

    low: float
    high: float
    first: float
    last: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Give the pixel of a value."""
        value = min(max(value, self.low), self.high)
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.first + part * (self.last - self.first)


def nice(most: float, steps: int = 3) -> list[float]:
    """Choose the round numbers of an axis from 0 up to what is at least `most`: steps of 1, 2 or 5."""
    rough = most / steps
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def words(
    x: float, y: float, text: str, size: float = 12, fill: str = INK, anchor: str = "start", weight: int = 0
) -> str:
    """Write one line; every name in it is escaped."""
    bold = f' font-weight="{weight}"' if weight else ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" fill="{fill}"{place}{bold}>{safe(text)}</text>'


def line(one: Point, other: Point, stroke: str = GRID, width: float = 1, dash: str = "") -> str:
    """Draw a straight line."""
    (x1, y1), (x2, y2) = one, other
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    place = f'x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"'
    return f'<line {place} stroke="{stroke}" stroke-width="{_n(width)}"{dashed}/>'


def curve(points: Iterable[Point | None], stroke: str, width: float = 2, dash: str = "") -> str:
    """Draw a line through points, with a gap wherever there is none; a point all alone becomes a dot."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    joined = " ".join(_path(run) for run in _runs(points))
    if not joined:
        return ""
    style = f'stroke="{stroke}" stroke-width="{_n(width)}" stroke-linejoin="round" stroke-linecap="round"'
    return f'<path d="{joined}" fill="none" {style}{dashed}/>'


def area(edges: Iterable[tuple[float, float, float] | None], fill: str, opacity: float = 0.25) -> str:
    """Fill what lies between two lines: (x, y of one, y of the other), with gaps."""
    shapes = []
    for run in _runs(edges):
        there = [(x, low) for x, low, _ in run]
        back = [(x, high) for x, _, high in reversed(run)]
        shapes.append(_path([*there, *back]) + "Z")
    return f'<path d="{" ".join(shapes)}" fill="{fill}" fill-opacity="{opacity:g}"/>' if shapes else ""


def box(x: float, y: float, width: float, height: float, fill: str, opacity: float = 1) -> str:
    """Fill a rectangle."""
    place = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
    return f'<rect {place} fill="{fill}" fill-opacity="{opacity:g}"/>'


def picture(width: float, height: float, title: str, shapes: Iterable[str]) -> str:
    """Put shapes on a white sheet; `title` is what a screen reader says."""
    size = f'width="{_n(width)}" height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}" role="img"><title>{safe(title)}</title>'
    )
    return "\n".join([head, box(0, 0, width, height, "#ffffff"), *filter(None, shapes), "</svg>", ""])


def safe(text: str) -> str:
    """Escape a text for SVG and HTML; what no XML may hold becomes a question mark in a box."""
    return escape(
        "".join(c if c.isprintable() or c == "\N{NO-BREAK SPACE}" else "\N{REPLACEMENT CHARACTER}" for c in text)
    )


def _runs(points: Iterable[T | None]) -> list[list[T]]:
    runs: list[list[T]] = [[]]
    for point in points:
        if point is not None:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _path(points: Sequence[Point]) -> str:
    first, *rest = points
    rest = rest or [first]
    return f"M{_n(first[0])} {_n(first[1])}L" + " ".join(f"{_n(x)} {_n(y)}" for x, y in rest)


def _n(value: float) -> str:
    """Write a number with at most one place, never `-0`."""
    return "0" if abs(value) < 0.05 else f"{value:.1f}".removesuffix(".0")
