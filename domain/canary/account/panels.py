"""What is drawn of a trace, panel by panel: traffic, failures, response time, and how sure one may be of either."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from domain.canary.account import svg
from domain.canary.account.headline import WITHIN, Names, crossed, milliseconds, odds, percent, slowest
from domain.canary.account.sheet import ARMS, KINDS, LEFT, RIGHT, Label, Sheet, axis, labels
from domain.canary.account.svg import Scale
from domain.canary.account.trace import Piece, Total, Trace
from domain.canary.verdict import Finding

_FEW, _MANY = 0.1, 100.0  # times as many failures: what is drawn of a ratio
_ROOM = 1.3  # times the evidence that is needed: the height of its panel


@dataclass(frozen=True)
class Panel:
    """A question, how to read its answer, how high it is, and what draws it between two pixels, top and bottom."""

    question: str
    reading: str
    height: float
    draw: Callable[[Sheet, float, float], list[str]]


def panels(told: Trace, names: Names) -> list[Panel]:
    """List what there is to be drawn; response time only where it was measured."""
    timed = any(total.histogram.any() for total in told.replicas.values())
    slow = Panel("How slow?", f"time within which {WITHIN[slowest(told)]} were answered", 84, _response)
    ratio = "95 % certain to be inside the band; 1 is equal"
    harm = "odds that it is no accident; at the dashed line it is sent back"
    health = "odds that harm stays within the budget; at the dashed line it may go on"
    return [
        Panel(f"How much traffic has {names.candidate}?", "", 34, _traffic),
        Panel("How many requests fail?", "over the last seconds", 104, _failures),
        *([slow] if timed else []),
        Panel("How many times as many failures?", ratio, 76, _ratio),
        Panel("Is it harmful?", harm, 96, _harm),
        Panel("Is it harmless?", health, 76, _health),
    ]


def _traffic(sheet: Sheet, top: float, bottom: float) -> list[str]:
    y = Scale(0, 10_000, bottom, top)
    edges: list[tuple[float, float, float]] = []
    for stretch in sheet.told.stretches:
        level = y(stretch.share)
        edges += [(sheet.x(at), bottom, level) for at in (stretch.first, stretch.first + stretch.looks)]
    colour = dict(ARMS)["candidate"]
    said = [(edges[-1][2], f"{sheet.told.stretches[-1].share / 100:g} %", colour)] if edges else []
    shape = [svg.area(edges, colour, 0.3), svg.curve([(x, level) for x, _, level in edges], colour)]
    return [*axis(y, [(0, "0 %"), (10_000, "100 %")]), *shape, *labels(said, top, bottom)]


def _failures(sheet: Sheet, top: float, bottom: float) -> list[str]:
    return _both(sheet, top, bottom, lambda total: total.rate, percent, lambda tick: f"{tick * 100:g} %", 0.01)


def _response(sheet: Sheet, top: float, bottom: float) -> list[str]:
    q = slowest(sheet.told)
    return _both(sheet, top, bottom, lambda total: total.within(q), milliseconds, lambda tick: f"{tick:g} ms", 10.0)


def _both(
    sheet: Sheet,
    top: float,
    bottom: float,
    measure: Callable[[Total], float | None],
    say: Callable[[float | None], str],
    show: Callable[[float], str],
    least: float,
) -> list[str]:
    """Draw one measure of both arms, from zero up."""
    seen = {arm: [measure(total) for total in sheet.recent(arm)] for arm, _ in ARMS}
    ticks = svg.nice(max([least, *(value for values in seen.values() for value in values if value is not None)]))
    y = Scale(0, ticks[-1], bottom, top)
    shapes, said = axis(y, [(tick, show(tick) if tick else "0") for tick in ticks]), list[Label]()
    for arm, colour in ARMS:
        points = [None if v is None else (x, y(v)) for x, v in zip(sheet.ends, seen[arm], strict=True)]
        shapes.append(svg.curve(points, colour))
        last = next((value for value in reversed(seen[arm]) if value is not None), None)
        if last is not None:
            said.append((y(last), f"{sheet.names.arm(arm)} {say(last)}", colour))
    return [*shapes, *labels(said, top, bottom)]


def _ratio(sheet: Sheet, top: float, bottom: float) -> list[str]:
    y = Scale(_FEW, _MANY, bottom, top, log=True)
    found = [_interval(piece) for piece in sheet.told.pieces]
    edges = [None if it is None else (x, y(it[0]), y(it[1])) for x, it in zip(sheet.ends, found, strict=True)]
    last = next((it for it in reversed(found) if it), None)
    said = [((y(last[0]) + y(last[1])) / 2, _between(*last), svg.INK)] if last else []
    return [
        *axis(y, [(0.1, "a tenth"), (1.0, "1 ×"), (10.0, "10 ×"), (100.0, "100 ×")]),
        svg.area(edges, dict(ARMS)["candidate"], 0.3),
        svg.line((LEFT, y(1)), (RIGHT, y(1)), svg.GREY, dash="5 4"),
        *labels(said, top, bottom),
    ]


def _interval(piece: Piece) -> tuple[float, float] | None:
    """Find the interval of the ratio; None where there is nothing to compare with."""
    told = next((it for it in piece.findings if it.low is not None), None)
    return None if told is None or told.low is None else (told.low, told.high or math.inf)


def _between(low: float, high: float) -> str:
    least, most = (f"{value:.2g}" if value >= 0.1 else f"{value:.2f}" for value in (low, high))
    if high == math.inf:
        return f"at least {least} times" if low else "anything, so far"
    return f"{least} to {most} times" if low else f"at most {most} times"


def _harm(sheet: Sheet, top: float, bottom: float) -> list[str]:
    return _evidence(sheet, "harm: ", top, bottom)


def _health(sheet: Sheet, top: float, bottom: float) -> list[str]:
    return _evidence(sheet, "health: ", top, bottom)


def _evidence(sheet: Sheet, side: str, top: float, bottom: float) -> list[str]:
    """Draw every kind of evidence on one side, as odds on a log scale, and what is needed of it."""
    found = [{it.metric: it for it in piece.findings if it.metric.startswith(side)} for piece in sheet.told.pieces]
    timed = any(total.histogram.any() for total in sheet.told.replicas.values())
    kinds = [kind for kind in dict.fromkeys(k for it in found for k in it) if timed or not kind.endswith(" latency")]
    if not kinds:
        return [*axis(Scale(0, 1, bottom, top), [(0, "")])]
    latest = {kind: next(it[kind] for it in reversed(found) if kind in it) for kind in kinds}
    y = Scale(0, _ROOM * max(it.needed for it in latest.values()), bottom, top)
    tens = [(math.log(10) * power, odds(math.log(10) * power)) for power in range(int(y.high / math.log(10)) + 1)]
    shapes, said = axis(y, [(at, text.replace(".0 :", " :")) for at, text in tens]), list[Label]()
    enough = sorted({it.needed for it in latest.values()})
    shapes += [svg.line((LEFT, y(needed)), (RIGHT, y(needed)), svg.GREY, dash="5 4") for needed in enough]
    said.append((y(enough[-1]), f"needed: {' or '.join(f'{math.exp(it):.0f}' for it in enough)} : 1", svg.GREY))
    for place, kind in enumerate(kinds):
        colour, dash = KINDS[place % len(KINDS)]
        values = [it.get(kind) for it in found]
        points = [None if it is None else (x, y(it.ln_e)) for x, it in zip(sheet.ends, values, strict=True)]
        shapes.append(svg.curve(points, colour, dash=dash))
        said.append((y(latest[kind].ln_e), _kind(kind.removeprefix(side), latest[kind]), colour))
    return [*shapes, *labels(said, top, bottom)]


def _kind(name: str, found: Finding) -> str:
    """Say how far a kind of evidence has come; a long name is cut."""
    short = name if len(name) <= 16 else f"{name[:15]}…"
    return f"{short}: {'enough' if crossed(found) else odds(found.ln_e)}"
