"""The sheet that the judge's chart is drawn on: its colours, where each look is, and the words beside a line."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from domain.canary.account import svg
from domain.canary.account.headline import Names
from domain.canary.account.svg import Scale
from domain.canary.account.trace import Total, Trace
from domain.canary.tick import Arm

ARMS: tuple[tuple[Arm, str], ...] = (("stable", "#0072b2"), ("candidate", "#d55e00"))
"""Blue and vermilion of Okabe and Ito ("Color universal design", 2008), which everybody can tell apart."""
KINDS = ((svg.INK, ""), ("#009e73", "7 4"), ("#cc79a7", "2 4"), ("#e69f00", "9 3 2 3"))
"""Colour and dash of each kind of evidence, in order; the dashes tell them apart without any colour."""

LEFT, RIGHT = 70.0, 650.0
"""Pixels between which looks are drawn; labels stand on the right."""
_LOOKS = 10  # at least so many looks make one point of a rate: fewer jump about
_LINE = 15.0  # pixels between two labels

Label = tuple[float, str, str]  # where it belongs, what it says, its colour


@dataclass(frozen=True)
class Sheet:
    """What every panel needs: the trace, what its arms are called, and where each look is."""

    told: Trace
    names: Names
    x: Scale

    @property
    def ends(self) -> list[float]:
        """Give the pixel at which each piece ends."""
        return [self.x(looks) for looks in accumulate(piece.looks for piece in self.told.pieces)]

    def recent(self, arm: Arm) -> Iterator[Total]:
        """Add up, for each piece, one arm's last looks; nothing of a stable version that has no traffic any more."""
        pieces, least = self.told.pieces, max(_LOOKS, self.told.looks // 30)
        for place, piece in enumerate(pieces):
            total, looks, at = Total(), 0, place
            while at >= 0 and looks < least and (arm == "candidate" or piece.share < 10_000):
                total.add(pieces[at].arms[arm])
                looks, at = looks + pieces[at].looks, at - 1
            yield total


def axis(y: Scale, ticks: list[tuple[float, str]]) -> list[str]:
    """Draw a panel's horizontal lines, each with its value."""
    shapes = []
    for value, text in ticks:
        shapes.append(svg.line((LEFT, y(value)), (RIGHT, y(value))))
        shapes.append(svg.words(LEFT - 6, y(value) + 4, text, 11.5, svg.GREY, "end"))
    return shapes


def labels(said: list[Label], top: float, bottom: float) -> list[str]:
    """Write labels beside their lines' ends, pushed apart where they would lie on each other."""
    ordered, places = sorted(said), list[float]()
    for at, _, _ in ordered:
        places.append(max(at, places[-1] + _LINE) if places else max(at, top))
    for place in reversed(range(len(places))):
        below = places[place + 1] - _LINE if place + 1 < len(places) else bottom + 4
        places[place] = min(places[place], below)
    return [
        svg.words(RIGHT + 8, y + 4, text, 12, colour, weight=0 if colour == svg.GREY else 600)
        for y, (_, text, colour) in zip(places, ordered, strict=True)
    ]
