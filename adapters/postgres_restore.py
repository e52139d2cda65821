"""A backup restored beside the living database, and brought up to what that one holds before anybody moves over.

A run that was killed is taken up by the next one, which goes on after the last pass that was whole, or starts over when
the restore itself had not ended. The living database is only read, but for the locks of the freeze.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from adapters import postgres_backup as archive
from adapters import postgres_capture as capture
from adapters import postgres_digest as content
from adapters import postgres_fence as fence
from adapters import postgres_freeze as freezer
from adapters.postgres_catalog import Link
from adapters.postgres_end import End
from adapters.postgres_errand import Manners
from adapters.postgres_keys import keyed, layouts
from adapters.postgres_replay import Replay, insist_replayable
from adapters.postgres_restored import Say, alone, let_in, note, restored
from domain.errors import Refused, Unavailable
from domain.schema.backup import Backup
from domain.schema.capture import left_behind
from domain.schema.replay import Progress, Replayed

_QUICK = 0.5  # seconds: a pass, or a comparison, that may be made under the freeze
_PASSES = 6  # while the living database is written to


@dataclass(frozen=True)
class Terms:
    """How a restore ends: seconds for which writers may be kept waiting, and whether the living database stays shut."""

    manners: Manners = field(default_factory=Manners)
    freeze: float = 10.0
    keep_frozen: bool = False


def restore(
    living: End,
    name: str,
    stored: IO[bytes],
    backup: Backup,
    terms: Terms,
    switch: Callable[[End], None] = lambda _: None,
    say: Say = lambda _: None,
) -> Replayed:
    """Restore into a new database `name` on the same server, replay what was written since, and let `switch` move over.

    While `switch` runs nobody writes to the living database, and the restored one holds all of it; what it raises ends
    the freeze. Raises Refused with every reason when the writes since cannot be replayed, or when `name` is a database
    of somebody else's; Rejected when rows do not fit, or when a lock or the freeze takes too long. In every case the
    living database is as it was, and takes writes; the restored one says that it is unfinished: the next run goes on.
    """
    with living.link() as reader, living.telling(reader), alone(reader, living, name):
        insist(reader, backup)
        copy = living.beside(name)
        progress = restored(reader, living, copy, stored, backup, say)
        with copy.link() as writer:
            return _Run(living, copy, reader, writer, progress, terms, say).finish(switch)


def insist(reader: Link, backup: Backup) -> None:
    """Raise Refused with everything that keeps the writes since a backup from being replayed."""
    if not backup.snapshot:
        raise Refused("the backup does not say which transactions it holds", "take one with this version; or --bare")
    if not capture.exists(reader):
        hint = "`interlock schema capture` before the backup; or --bare"
        raise Refused("no capture is armed: nobody knows what was written since the backup", hint)
    insist_replayable(backup.layouts, layouts(keyed(reader)), capture.state(reader, backup.snapshot))


@dataclass
class _Run:
    """One run from a restored database to a complete one."""

    living: End
    copy: End
    reader: Link
    writer: Link
    progress: Progress
    terms: Terms
    say: Say

    def finish(self, switch: Callable[[End], None]) -> Replayed:
        """Catch up, freeze, make the last pass, switch, and validate."""
        self.replay = Replay(self.writer, self.progress.snapshot, self._arrived)
        self._do(self.progress.loosened)
        compared = self._catch_up()
        with self.living.link() as shut:
            self.say("freeze")
            took = freezer.freeze(
                shut, self.terms.manners, self.terms.freeze, lambda: self._last(shut, switch, compare=compared < _QUICK)
            )
        self.say(f"validating, after a freeze of {took} ms")
        self._do(self.progress.validated)
        self._note("complete")
        now, old = keyed(self.reader), self.replay.old
        return Replayed(
            database=self.copy.name,
            passes=tuple(self.replay.passes),
            lost=0,
            freeze_ms=took,
            compared=tuple(sorted(now.keys() & old.keys())),
            kept=tuple(sorted(old.keys() - now.keys())),
            left_behind=left_behind(layouts(old), layouts(now)),
            frozen=self.terms.keep_frozen,
        )

    def _catch_up(self) -> float:
        """Pass after pass, until one is quick enough; every row is compared once. Returns for how many seconds."""
        first = self.replay.catch_up(self.reader)
        self.say(f"replayed {first.keys} keys in {first.seconds:.1f} s")
        compared = self.replay.catch_up(self.reader, compare=True)
        self.say(f"compared every row in {compared.seconds:.1f} s")
        for _ in range(_PASSES):
            one = self.replay.catch_up(self.reader)
            self.say(f"replayed {one.keys} keys in {one.seconds:.1f} s")
            if one.seconds <= _QUICK:
                return compared.seconds
        if one.seconds > self.terms.freeze / 2:
            said = f"{_PASSES} passes, and the last one still took {one.seconds:.1f} s: writes come as fast"
            raise Unavailable(said, "try again at a quieter time, it goes on from here; or allow a longer freeze")
        return compared.seconds

    def _last(self, shut: Link, switch: Callable[[End], None], *, compare: bool) -> None:
        """Do what is left while nobody writes: the last rows, sequences, constraints, and the caller's switch."""
        self.writer.execute("select set_config('statement_timeout', %s, false)", (f"{self.terms.freeze:.0f}s",))
        self.replay.follow(shut, compare=compare)
        content.rewind(self.writer, content.positions(shut))
        fence.carry(shut, self.writer)
        self._do(self.progress.mended)
        let_in(self.writer, self.living, self.copy.name)
        self.writer.execute("select set_config('statement_timeout', %s, false)", (f"{archive.PATIENCE:.0f}s",))
        if self.terms.keep_frozen:
            freezer.keep_frozen(shut, self.copy.name)
        shut.execute("select")  # the locks are still held
        switch(self.copy)

    def _do(self, statements: tuple[str, ...]) -> None:
        with self.copy.telling(self.writer), self.writer.transaction():
            for statement in statements:
                self.writer.execute(statement.encode())

    def _arrived(self, shown: str) -> None:
        self.progress = self.progress.model_copy(update={"snapshot": shown})
        note(self.writer, self.copy.name, self.progress)

    def _note(self, state: str) -> None:
        self.progress = self.progress.model_copy(update={"state": state})
        note(self.writer, self.copy.name, self.progress)
