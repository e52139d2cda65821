"""A service that brings its own migration tool: alembic, Django, Prisma, Rails… Its image changes the schema, we watch.

Nobody reads what such a tool will do, so nobody can say beforehand which way back it leaves. It is shown instead: on a
copy of the database the tool goes up, and the version that serves must work on what it leaves.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import Field, model_validator

from domain.canonical import sha256
from domain.schema.migration import Applied, Migration
from domain.schema.rehearsal import WayBack
from domain.value import Seconds, Value

REVISION = "INTERLOCK_REVISION"
"""The variable in which `down` finds what `status` printed before `up`."""

_LOCKED = re.compile(r"lock timeout|55P03|LockNotAvailable|lock_not_available|deadlock detected|40P01", re.IGNORECASE)


class ToolSpec(Value):
    """The commands of a service's own migration tool, run in its image; exit code 0: done."""

    up: tuple[str, ...] = Field(min_length=1, description="brings the schema to what this image wants; again: nothing")
    smoke: tuple[str, ...] = Field(min_length=1, description="tries what users do; on a copy, old and new image alike")
    plan: tuple[str, ...] = Field(
        default=(), description="prints what `up` will do, if it can; people see it at the gate"
    )
    status: tuple[str, ...] = Field(default=(), description="prints the revision of the schema; compared, never parsed")
    down: tuple[str, ...] = Field(default=(), description=f"goes back to ${REVISION}, which `status` printed before")
    watch: tuple[str, ...] = Field(default=(), description="more folders that say which schema is wanted")
    variable: str = Field(default="DATABASE_URL", description="config key that names the database to the image")
    timeout: Seconds = 600.0

    @model_validator(mode="after")
    def _knows_where_down_leads(self) -> Self:
        if self.down and not self.status:
            raise ValueError(f"down: needs status, whose output it finds in ${REVISION}")
        return self


def steps_by_tool(tool: ToolSpec, files: Mapping[str, str], applied: Sequence[Applied]) -> tuple[Migration, ...]:
    """Draw up the one step that the tool performs; none where it was performed for the same files before.

    `files`: what says which schema is wanted (name → text). A database that once came that far stays there: an older
    version that is released again finds a schema that it runs on already.
    """
    wanted = sha256(dict(files))
    step = Migration(
        number=max((row.number for row in applied), default=0) + 1,
        name=f"by_tool_{wanted[:8]}",
        phase="expand",
        transactional=False,
        timeout=tool.timeout,
        up=_line(tool.up, wanted),
        down=_line(tool.down, wanted) if tool.down else None,
        by="tool",
    )
    return () if any(row.checksum == step.checksum for row in applied) else (step,)


def way_by_tool(tool: ToolSpec, steps: tuple[Migration, ...], old: str | None, new: str) -> WayBack:
    """Say what is tried: `old` and `new` are the digests of the images whose smoke test must work."""
    return WayBack(steps=steps, old=_line(tool.smoke, old) if old else None, new=_line(tool.smoke, new))


def words(line: str) -> list[str]:
    """Take a step's line apart into the words of its command."""
    return shlex.split(line, comments=True)


def met_a_lock(output: str) -> bool:
    """Tell by what a tool printed that it only did not get a lock, and may try again."""
    return bool(_LOCKED.search(output))


def last_words(output: str) -> str:
    """Give the end of what a tool printed, as a message repeats it: 2,000 characters at most."""
    return output[-2000:].strip()


def _line(command: Sequence[str], about: str) -> str:
    """Write a command as one line that names what it is about: the same command on something else is another step."""
    return f"{shlex.join(command)}  # {about}"
