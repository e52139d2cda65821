"""A migration: its files, its header, and what may be applied after what."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from domain.errors import Invalid, Refused
from domain.schema.batched import filled
from domain.schema.header import Phase, read_header, without_allowances
from domain.value import Value

_FILE = re.compile(r"^(\d{4})_([a-z0-9_]+)\.(up|down)\.sql$")
SMOKE = "smoke.sql"
"""The statements of the version itself, beside its migrations."""


class Migration(Value):
    """One step of the schema, as found in the source tree."""

    number: int
    name: str
    phase: Phase = "expand"
    transactional: bool = True
    timeout: float = 30.0
    batch: int | None = Field(default=None, description="rows at a time; see domain/schema/batched.py")
    pause: float = Field(default=0.0, description="seconds between two batches")
    up: str
    down: str | None = None
    by: Literal["sql", "tool"] = Field(default="sql", description="tool: both scripts are commands of its image")

    @property
    def checksum(self) -> str:
        """Hash the up script; 64 hex digits. Answers to the lint are left out: they change nothing that is run."""
        return hashlib.sha256(without_allowances(self.up).encode()).hexdigest()

    @property
    def sql(self) -> str:
        """Give the up script as it is run: with the number of rows where it says `:batch`."""
        return self.up if self.batch is None else filled(self.up, self.batch)

    @property
    def label(self) -> str:
        """Name it as people do: `0002_add_stock`."""
        return f"{self.number:04d}_{self.name}"

    @property
    def undoing(self) -> "Migration | None":
        """Turn it around: the way back as a script of its own, run as its own header says; None without one."""
        if self.down is None:
            return None
        if self.by == "tool":
            return self.model_copy(update={"up": self.down, "down": None})
        header, _ = read_header(f"{self.label}.down.sql", self.down, [])
        return self.model_copy(update={"up": self.down, "down": None, **dict(header)})


class Applied(Value):
    """One row of the service's migration table."""

    number: int
    name: str
    phase: Phase
    checksum: str
    release: str
    fingerprint: str | None = Field(default=None, description="the schema right after it; None: never looked at")


class Recorded(Value):
    """The whole row of a step, also of one that was cut off."""

    number: int
    name: str
    phase: Phase
    state: Literal["running", "failed", "applied"]
    statements: int = Field(description="or batches, done without a transaction; below zero: under way on its way back")
    checksum: str
    down: str | None
    release: str
    fingerprint_before: str | None
    fingerprint_after: str | None
    attempts: int
    lock_wait_ms: int
    exec_ms: int
    applied_at: datetime

    @property
    def label(self) -> str:
        """Name it as people do: `0002_add_stock`."""
        return f"{self.number:04d}_{self.name}"

    @property
    def undone(self) -> int:
        """Number the statement of its way back that was begun last; 0: none was."""
        return max(0, -self.statements)

    @property
    def undoing(self) -> Migration | None:
        """The way back as a script of its own; see Migration.undoing."""
        return Migration(number=self.number, name=self.name, up="", down=self.down).undoing


def read(files: Mapping[str, str]) -> tuple[Migration, ...]:
    """Read `NNNN_name.up.sql` / `.down.sql` files (name → text) in order.

    Raises Invalid naming every malformed file, header key and gap at once. `smoke.sql` is left alone.
    """
    problems: list[str] = []
    ups: dict[int, tuple[str, str]] = {}
    downs: dict[int, str] = {}
    for file, text in sorted(files.items()):
        if file == SMOKE:
            continue
        if not (found := _FILE.match(file)):
            problems.append(f"{file}: not a migration; name it NNNN_name.up.sql or NNNN_name.down.sql")
        elif found[3] == "down":
            downs[int(found[1])] = text
        elif int(found[1]) in ups:
            problems.append(f"{file}: number {found[1]} is taken by {ups[int(found[1])][0]}")
        else:
            ups[int(found[1])] = (found[2], text)
    problems += [f"{number:04d}: has a down script but no up script" for number in sorted(downs.keys() - ups.keys())]
    problems += [f"{n:04d}: missing; numbers must have no gaps" for n in range(1, max(ups, default=0)) if n not in ups]
    steps = [
        _migration(number, name, text, downs.get(number), problems) for number, (name, text) in sorted(ups.items())
    ]
    if problems:
        raise Invalid.all(problems, "mend the migration files in the service's repository")
    return tuple(step for step in steps if step)


def _migration(number: int, name: str, up: str, down: str | None, problems: list[str]) -> Migration | None:
    label = f"{number:04d}_{name}"
    before = len(problems)
    header, _ = read_header(f"{label}.up.sql", up, problems)
    read_header(f"{label}.down.sql", down or "", problems)
    if len(problems) > before:
        return None
    return Migration(number=number, name=name, up=up, down=down, **dict(header))


def pending(bundle: Sequence[Migration], applied: Sequence[Applied]) -> tuple[Migration, ...]:
    """List what is still to apply, in order.

    Raises Refused naming every edited, missing and out-of-order migration. A missing one is allowed only when it
    was an `expand` step: that is what a rollback leaves behind on purpose.
    """
    known = {step.number: step for step in bundle}
    problems = []
    for row in applied:
        if row.number not in known:
            if row.phase != "expand":
                problems.append(f"{row.number:04d}_{row.name}: applied ({row.phase}) but missing from this version")
        elif known[row.number].checksum != row.checksum:
            problems.append(f"{known[row.number].label}: edited after it was applied by {row.release}")
    done = {row.number for row in applied}
    todo = tuple(step for step in bundle if step.number not in done)
    highest = max((number for number in done if number in known), default=0)
    problems += [
        f"{step.label}: out of order, {highest:04d} is already applied" for step in todo if step.number < highest
    ]
    if problems:
        raise Refused("\n".join(problems), "add a new migration instead of changing applied ones")
    return todo
