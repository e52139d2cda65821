"""A backup restored as it is: what was written since is lost, and counted before anybody agrees to it."""

from typing import IO

from adapters import postgres_capture as capture
from adapters import postgres_digest as content
from adapters import postgres_fence as fence
from adapters import postgres_freeze as freezer
from adapters.postgres_catalog import Link
from adapters.postgres_end import End
from adapters.postgres_restore import Terms
from adapters.postgres_restored import Say, alone, let_in, note, restored
from domain.errors import Refused
from domain.schema.backup import Backup
from domain.schema.capture import lost
from domain.schema.replay import Bare

UNKNOWN = "unknown"
"""What must be typed in the place of a number that nobody can tell."""


def restore(
    living: End, name: str, stored: IO[bytes], backup: Backup, lose: str, terms: Terms, say: Say = lambda _: None
) -> Bare:
    """Restore into a new database `name`; sequences go on where those of the living database are.

    Raises Refused unless `lose` is at least the number of rows that are lost, both before anything is restored and when
    writes have been stopped at last: the living database goes on then, and the restored one is unfinished.
    """
    with living.link() as reader, living.telling(reader), alone(reader, living, name):
        count = _insist_agreed(reader, backup, lose)
        copy = living.beside(name)
        progress = restored(reader, living, copy, stored, backup, say, afresh=True)

        def during() -> None:
            nonlocal count
            count = _insist_agreed(shut, backup, lose)
            content.rewind(writer, content.positions(shut))
            fence.carry(shut, writer)
            let_in(writer, living, copy.name)
            if terms.keep_frozen:
                freezer.keep_frozen(shut, copy.name)

        with copy.link() as writer, living.link() as shut:
            say("freeze")
            took = freezer.freeze(shut, terms.manners, terms.freeze, during)
            note(writer, copy.name, progress.model_copy(update={"state": "complete"}))
    return Bare(database=name, lost=count, freeze_ms=took, frozen=terms.keep_frozen)


def _insist_agreed(link: Link, backup: Backup, lose: str) -> int | None:
    count = lost(backup.layouts, capture.state(link, backup.snapshot)) if backup.snapshot else None
    if count is None and lose != UNKNOWN:
        said = "nobody can tell how many rows written since the backup would be lost: no capture has seen all of it"
        raise Refused(said, f"if whatever it is may go: --lose {UNKNOWN}")
    if count is not None and not (lose.isdecimal() and int(lose) >= count):
        raise Refused(f"{count} rows written since the backup would be lost", f"if they may go: --lose {count}")
    return count
