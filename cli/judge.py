"""`interlock judge`: the judge on its own, for any deployer: ticks in, verdicts out."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli import show
from config.defaults import defaults
from config.read import read
from domain.canary.bounds import Bounds
from domain.canary.ramp import Course, Ramp, plain
from domain.canary.tick import Tick
from domain.canary.wire import Succession, tick_from
from domain.errors import Invalid

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: `interlock judge --plan plan.yaml --ticks ticks.jsonl`")
def judge(
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="PLAN.yaml", help="Steps, budgets, margins; left out: all defaults."),
    ] = None,
    ticks: Annotated[
        str, typer.Option("--ticks", metavar="FILE|-", help="One JSON object a line; - reads stdin.")
    ] = "-",
    bad_lines: Annotated[
        str, typer.Option("--bad-lines", metavar="skip|fatal", help="What a line that is no tick does.")
    ] = "fatal",
    show_defaults: Annotated[
        bool, typer.Option("--show-defaults", help="Print a plan with every default, and end.")
    ] = False,
) -> None:
    """Judge a canary from a stream of ticks.

    Reads one JSON object a line and writes one verdict a line: no server, no ledger, no clock. docs/judge.md shows
    what a tick holds and what is guaranteed.
    """
    if show_defaults:
        print(defaults(Course()), end="")
        return
    if bad_lines not in ("skip", "fatal"):
        raise Invalid(f"--bad-lines {bad_lines}: neither skip nor fatal", "skip tells and goes on, fatal ends")
    course = _course(plan)
    if ticks == "-":
        _judge(course, sys.stdin, bad_lines)  # type: ignore[arg-type]  # one of the two
        return
    try:
        with Path(ticks).open() as lines:
            _judge(course, lines, bad_lines)  # type: ignore[arg-type]  # one of the two
    except OSError as error:
        raise Invalid(f"--ticks {ticks}: {error.strerror}", "give a file, or - for stdin") from error


def _course(plan: Path | None) -> Course:
    if plan is None:
        return Course()
    problems: list[str] = []
    course = read(plan, str(plan), Course, problems)
    if course is None:
        raise Invalid("\n".join(problems), "`interlock judge --show-defaults` prints every key")
    return course


def _judge(course: Course, lines: Iterable[str], bad_lines: Literal["skip", "fatal"]) -> None:
    ramp, write = Ramp(course), sys.stdout.write
    at_once = lines is sys.stdin  # whoever writes ticks as they come waits for each verdict
    encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
    for t, tick in _ticks(lines, bad_lines):
        write(encode(plain(t, ramp.look(tick))) + "\n")
        if at_once:
            sys.stdout.flush()
    sys.stdout.flush()


def _ticks(lines: Iterable[str], bad_lines: Literal["skip", "fatal"]) -> Iterator[tuple[float, Tick]]:
    """Read one tick a line, each counted once; what is wrong with a line is told by its number."""
    bounds, succession, decode = Bounds(), Succession(), json.JSONDecoder().decode
    for number, line in enumerate(lines, start=1):
        try:
            try:
                read_line = decode(line)
            except ValueError as error:
                raise Invalid(f"no JSON: {error}", "one object a line") from error
            tick = tick_from(read_line, bounds)
        except Invalid as error:
            if bad_lines == "fatal":
                raise Invalid(f"line {number}: {error.message}", error.hint or "") from error
            show.say(f"line {number} is skipped: {error.message}", "yellow", show.err)
            continue
        said = succession.admit(read_line.get("seq"), read_line.get("t"))
        if said is None:
            show.say(f"line {number} is skipped: it was told before", "yellow", show.err)
            continue
        if said:
            show.say(f"line {number}: {said}", "yellow", show.err)
        yield read_line.get("t", float(tick.second)), tick
