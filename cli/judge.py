"""`interlock judge`: the judge on its own, for any deployer: ticks in, verdicts out."""

import gc
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from cli import show
from config.defaults import defaults
from config.read import read
from domain.canary.bounds import Bounds
from domain.canary.ramp import Course, Ramp, plain
from domain.canary.residual import NO_PAST, Past
from domain.canary.season import past_of
from domain.canary.tick import Tick
from domain.canary.wire import Succession, tick_from
from domain.errors import Invalid

app = typer.Typer(add_completion=False)
_CHUNK = 1 << 16  # bytes: as much as a pipe holds
_LINE = orjson.OPT_APPEND_NEWLINE
_OBJECTS = 1_000_000  # more than are alive at once


@app.command(epilog="Example: `interlock judge --plan plan.yaml --ticks ticks.jsonl`")
def judge(
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="PLAN.yaml", help="Steps, budgets, margins; left out: all defaults."),
    ] = None,
    ticks: Annotated[
        str, typer.Option("--ticks", metavar="FILE|-", help="One JSON object a line; - reads stdin.")
    ] = "-",
    past: Annotated[
        str, typer.Option("--past", metavar="FILE", help="Ticks of the weeks before, for `season`; t since the epoch.")
    ] = "",
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
    usual, fatal = NO_PAST, bad_lines == "fatal"
    if past:
        with _opened("--past", past) as stream:
            usual = _past(stream, fatal)
    with _opened("--ticks", ticks) as stream, _rarely_collected():
        _judge(Ramp(course, past=usual), stream, fatal)


@contextmanager
def _opened(option: str, name: str) -> Iterator[BufferedReader]:
    if name == "-":
        yield sys.stdin.buffer  # type: ignore[misc]  # typed as any binary stream; it is a buffer, which can read1
        return
    try:
        with Path(name).open("rb") as stream:
            yield stream
    except OSError as error:
        raise Invalid(f"{option} {name}: {error.strerror}", "give a file, or - for stdin") from error


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Let Python look seldom for rings of garbage: ticks make none, and the search took a third of all time."""
    usual = gc.get_threshold()
    gc.set_threshold(_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _past(stream: BufferedReader, fatal: bool) -> Past:
    door = Door(fatal)
    seen = past_of(tick for lines in _arriving(stream) for _, tick in door.admit(lines))
    door.insist()
    return seen


def _course(plan: Path | None) -> Course:
    if plan is None:
        return Course()
    problems: list[str] = []
    course = read(plan, str(plan), Course, problems)
    if course is None:
        raise Invalid("\n".join(problems), "`interlock judge --show-defaults` prints every key")
    return course


def _judge(ramp: Ramp, stream: BufferedReader, fatal: bool) -> None:
    """Judge what has come, and answer it, before more is read: whoever writes ticks one by one waits for no block."""
    door, out = Door(fatal), sys.stdout
    for lines in _arriving(stream):
        told = door.admit(lines)
        rulings = ramp.looks([tick for _, tick in told])
        answers = [orjson.dumps(plain(t, it), option=_LINE) for (t, _), it in zip(told, rulings, strict=True)]
        out.write(b"".join(answers).decode())
        out.flush()
        door.insist()


def _arriving(stream: BufferedReader) -> Iterator[list[bytes]]:
    """Read lines as they come, all that are there at once; the last may lack its end."""
    begun = b""
    while chunk := stream.read1(_CHUNK):
        *lines, begun = (begun + chunk).split(b"\n")
        if lines:
            yield lines
    if begun:
        yield [begun]


class Door:
    """Reads one tick a line, each counted once; what is wrong with a line is told by its number."""

    def __init__(self, fatal: bool) -> None:
        self._fatal = fatal
        self._bounds, self._succession = Bounds(), Succession()
        self._number = 0
        self._refused: Invalid | None = None

    def admit(self, lines: Iterable[bytes]) -> list[tuple[float, Tick]]:
        """Read lines into ticks and their times, up to the first that is refused for good."""
        told: list[tuple[float, Tick]] = []
        for line in lines:
            self._number += 1
            try:
                read_line = _decoded(line)
                tick = tick_from(read_line, self._bounds)
            except Invalid as error:
                if self._fatal:
                    self._refused = Invalid(f"line {self._number}: {error.message}", error.hint or "")
                    break
                self._say(f" is skipped: {error.message}")
                continue
            said = self._succession.admit(read_line.get("seq"), read_line.get("t"))
            if said is None:
                self._say(" is skipped: it was told before")
                continue
            if said:
                self._say(f": {said}")
            told.append((read_line.get("t", float(tick.second)), tick))
        return told

    def insist(self) -> None:
        """Raise Invalid when a line was refused for good; what came before it has been answered."""
        if self._refused:
            raise self._refused

    def _say(self, what: str) -> None:
        show.say(f"line {self._number}{what}", "yellow", show.err)


def _decoded(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except ValueError as error:
        raise Invalid(f"no JSON: {error}", "one object a line") from error
