"""`interlock schema capture`, `backup` and `restore`: back to a backup, without what was written since being lost."""

import hashlib
from pathlib import Path
from typing import IO, Annotated

import typer
from pydantic import ValidationError

from adapters import postgres_bare as bare_restore
from adapters import postgres_capture as captures
from adapters import postgres_freeze as freezer
from adapters import postgres_restore as restores
from adapters.postgres_end import End
from adapters.postgres_errand import Manners
from cli import options, show
from cli.schema_change import LockBudget, LockTimeout
from cli.schema_database import Database, Given, opened, text
from domain.errors import Invalid, Rejected
from domain.schema.backup import StoredBackup
from domain.schema.capture import Capture
from domain.schema.replay import Bare, Replayed

_DUMP = ".dump.zst"
Dump = Annotated[
    Path, typer.Argument(metavar="DUMP", help="A file from a store or from `backup`, its .json beside it.")
]
Into = Annotated[str, typer.Option(metavar="NAME", help="The new database, on the same server.", show_default=False)]


def capture(
    database: Database = "",
    disarm: Annotated[bool, typer.Option("--disarm", help="Note nothing down any more, and forget all of it.")] = False,
    thaw: Annotated[
        bool, typer.Option("--thaw", help="Let a database that `restore` left frozen be written to again.")
    ] = False,
    lock_timeout: LockTimeout = 0.05,
    lock_budget: LockBudget = 30.0,
    json: options.Json = False,
) -> None:
    """Note down the key of every row that is written, so that a backup taken from now on can be brought up to date.

    Fingerprints, digests and backups do not see it. Armed again, it watches what is new. Exits 3 when a table has no
    primary key, 1 when a lock is not granted within the budget: nothing was changed then.
    """
    manners = Manners(opened(database).token(), lock_timeout, lock_budget)
    with _end(database).link() as link:
        if disarm:
            captures.disarm(link, manners)
        elif thaw:
            freezer.thaw(link, manners)
        else:
            captures.arm(link, manners)
        seen = captures.state(link)
    show.data(seen.model_dump(mode="json") | {"armed": seen.armed}) if json else _print_capture(seen)


def _print_capture(seen: Capture) -> None:
    if seen.frozen:
        show.say(f"frozen: {seen.frozen} has taken its place", "yellow")
    if not seen.tables:
        show.say("not armed")
        return
    for name, watch in seen.tables.items():
        if not watch.whole:
            show.say(f"{name}: a trigger is missing or switched off", "yellow")
    for name in seen.unwatched:
        show.say(f"{name}: not watched", "yellow")
    held = f"{len(seen.tables)} tables, {seen.marks} marks, {seen.size / 1e6:.1f} MB"
    show.say(f"{'armed' if seen.armed else 'NOT all is watched'}: {held}", "green" if seen.armed else "bold red")


def backup(
    out: Annotated[Path, typer.Option(metavar="FILE", help=f"NAME{_DUMP}; NAME.json is written beside it.")],
    database: Database = "",
    json: options.Json = False,
) -> None:
    """Take a backup, and prove it: it is restored into a scratch database and compared.

    Exits 1 when the restored copy is not what was backed up.
    """
    target = opened(database)
    with out.open("w+b") as file:
        made = target.backup(file)
        file.seek(0)
        target.verify(file, made)
        file.seek(0)
        stored = StoredBackup(key=out.name, sha256=_sha256(file), backup=made)
    _manifest(out).write_text(stored.model_dump_json(indent=1), encoding="utf-8")
    show.data(stored) if json else show.say(f"{out}: {len(made.tables)} tables, restored and compared", "green")


def restore(
    dump: Dump,
    into: Into,
    database: Database = "",
    bare: Annotated[bool, typer.Option("--bare", help="Without what was written since; see --lose.")] = False,
    lose: Annotated[
        str, typer.Option(metavar="COUNT", help="So many rows may go, as it says when asked.", show_default=False)
    ] = "0",
    leave_open: Annotated[
        bool, typer.Option("--leave-open", help="Let the old database take writes at the end: the new one lacks them.")
    ] = False,
    freeze: Annotated[
        float, typer.Option(metavar="SECONDS", help="Longest time that writers wait for the last pass.")
    ] = 10.0,
    lock_timeout: LockTimeout = 0.05,
    lock_budget: LockBudget = 30.0,
    json: options.Json = False,
) -> None:
    """Restore a backup beside the living database, and bring it up to what that one holds while it is written to.

    The last pass stops all writes for a moment; from then on the old database refuses them, and the new one has every
    row. Moving the application over is yours. Exits 3 with every reason when the writes since cannot be replayed, 1
    when something fails: the old database is as it was then, and the same command goes on.
    """
    living, stored = _end(database), _stored(dump)
    manners = Manners(opened(database).token(), lock_timeout, lock_budget)
    terms = restores.Terms(manners, freeze, keep_frozen=not leave_open)
    with dump.open("rb") as file:
        if _sha256(file) != stored.sha256:
            raise Rejected(f"{dump} is not the dump that its manifest is about (sha256)", "fetch both again")
        file.seek(0)
        done: Bare | Replayed = (
            bare_restore.restore(living, into, file, stored.backup, lose, terms, _note)
            if bare
            else restores.restore(living, into, file, stored.backup, terms, say=_note)
        )
    show.data(done) if json else _print_restored(done)


def _print_restored(done: Bare | Replayed) -> None:
    if isinstance(done, Replayed):
        for name in done.left_behind:
            show.say(f"stays behind, as the old version does not know it: {name}", "yellow")
        for name in done.kept:
            show.say(f"is as the backup has it, as nobody has written to it since: {name}", "dim")
        show.say(f"{done.keys} keys replayed in {len(done.passes)} passes; both are the same on what they share")
    lost = "nobody knows how many" if done.lost is None else done.lost
    state = "refuses writes (`capture --thaw`)" if done.frozen else "takes writes that the new one lacks"
    show.say(f"{done.database} is complete; rows lost: {lost}; writes stood still for {done.freeze_ms} ms; "
             f"the old database {state}", "green" if done.lost == 0 else "yellow")  # fmt: skip


def _end(database: str) -> End:
    return End(Given(database).resolve(""))


def _manifest(dump: Path) -> Path:
    return dump.with_name(dump.name.removesuffix(_DUMP) + ".json")


def _stored(dump: Path) -> StoredBackup:
    file = _manifest(dump)
    try:
        return StoredBackup.model_validate_json(text(file) or "")
    except ValidationError as error:
        raise Invalid(
            f"{file} is no manifest: {error.error_count()} problems", "the store has it beside the dump"
        ) from error


def _sha256(file: IO[bytes]) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # any open binary file will do


def _note(said: str) -> None:
    show.say(said, "dim", show.err)
