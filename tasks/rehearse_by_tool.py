"""Walk the way there and back on a copy, where the images bring their own migration tool."""

import shlex
import time
from collections.abc import Sequence
from contextlib import suppress

from domain.errors import Rejected
from domain.ports import Clone
from domain.schema.invariant import Breach
from domain.schema.migration import Migration
from domain.schema.rehearsal import Cost, Failure, Moment, Rehearsal, Seen, WayBack
from domain.schema.tool import words
from tasks.operate import ImageTool, Tools
from tasks.rehearse import Halted


def rehearse_by_tool(clone: Clone, way: WayBack, tools: Tools) -> Rehearsal:
    """Have the images' own tools do it: up, both versions try what users do, and down where the tool can.

    What an image writes stays written, so nothing is held against how it was before anybody wrote, and the old version
    speaks first: it must work on the schema that it has.
    """
    stage = _Handed(clone, way, tools)
    began = time.monotonic()
    with suppress(Halted):
        stage.there_and_back()
    return Rehearsal(
        server=clone.server,
        seen=stage.seen,
        failures=tuple(stage.failures),
        breaches=stage.breaches,
        costs=stage.costs,
        announced=stage.announced,
        seconds=round(time.monotonic() - began, 3),
    )


class _Handed:
    """One copy in the hands of the tools, and what was seen on it so far."""

    def __init__(self, clone: Clone, way: WayBack, tools: Tools) -> None:
        self.seen: dict[Moment, Seen] = {}
        self.failures: list[Failure] = []
        self.breaches: dict[Moment, tuple[Breach, ...]] = {}
        self.costs: dict[str, Cost] = {}
        self.announced = ""
        self._clone = clone
        self._way = way
        self._tools = tools

    def there_and_back(self) -> None:
        """Go up, and down where the tool can; whatever was there before must be there again, to the bit."""
        self._try("old version before", self._tools.old, self._way.old)
        self._look("old version before")
        tool = self._tools.new
        revision = self._asked("status", tool.spec.status if tool and self._way.undone else ())
        self.announced = self._asked("plan", tool.spec.plan if tool and self._way.steps else ())
        known = {breach.name for breach in self._broken() if breach.error is None}
        self.costs = self._run("up", self._way.steps)
        self._look("up")
        if found := tuple(breach for breach in self._broken() if breach.name not in known):
            self.breaches["up"] = found
        if self._way.undone:
            self._run("down", self._way.ways_back, revision)
            self._look("down")
            self._run("up again", self._way.redone)
            self._look("up again")
        if self._way.steps:
            self._try("old version", self._tools.old, self._way.old)
        self._try("new version", self._tools.new, self._way.new)
        if self._way.undone:
            self._look("writes", rows_only=True)
            self._run("down after writes", self._way.ways_back, revision)
            self._look("down after writes", rows_only=True)
            self._try("old version after", self._tools.old, self._way.old)
            self._run("up after writes", self._way.redone)
            self._look("up after writes", rows_only=True)

    def _broken(self) -> tuple[Breach, ...]:
        return self._clone.breaches(self._way.invariants, self._way.invariant_timeout)

    def _asked(self, what: str, command: Sequence[str]) -> str:
        """Ask the tool something that changes nothing; empty where there is nobody to ask, or no command for it."""
        tool = self._tools.new
        if tool is None or not command:
            return ""
        try:
            return self._clone.operate(tool, shlex.join(command), timeout=tool.spec.timeout)[1].strip()
        except Rejected as error:
            self.failures.append(Failure(moment="up", what=what, says=error.message))
            raise Halted from error

    def _run(self, moment: Moment, steps: Sequence[Migration], revision: str = "") -> dict[str, Cost]:
        costs = dict[str, Cost]()
        tool = self._tools.new
        if tool is None:
            return costs
        for step in steps:
            try:
                it = self._clone.operate(tool, step.up, revision=revision, timeout=step.timeout)
                costs[step.label] = it[0]
            except Rejected as error:
                self.failures.append(Failure(moment=moment, what=step.label, says=error.message))
                raise Halted from error
        return costs

    def _try(self, moment: Moment, tool: ImageTool | None, line: str | None) -> None:
        """Let a version try what users do; when it failed on its own schema before, that is told once."""
        told = any(failure.moment == "old version before" for failure in self.failures)
        if tool is None or line is None or (told and tool is self._tools.old):
            return
        try:
            self._clone.operate(tool, line, timeout=tool.spec.timeout)
        except Rejected as error:
            self.failures.append(Failure(moment=moment, what=shlex.join(words(line)), says=error.message))

    def _look(self, moment: Moment, *, rows_only: bool = False) -> None:
        self.seen[moment] = self._clone.look(rows_only=rows_only)
