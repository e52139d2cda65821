"""`interlock schema migrate` and `rollback`: forward when the way back is proven, and back without a silent loss."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from adapters.postgres import Postgres
from cli import options, show
from cli.migration_files import files
from cli.schema_database import Database, Directory, opened, text
from domain.errors import Conflict, Invalid, Refused
from domain.schema.impact import refusals, torn
from domain.schema.lint import lint
from domain.schema.loss import Loss, losses
from domain.schema.migration import SMOKE, Migration, Recorded, pending, read
from domain.schema.proof import Proof, stale, subject_of
from domain.schema.rehearsal import WayBack

_OPAQUE = "opaque"

LockTimeout = Annotated[float, typer.Option(metavar="SECONDS", help="Longest wait in a lock queue.")]
LockBudget = Annotated[float, typer.Option(metavar="SECONDS", help="Total time to try for locks.")]


def migrate(
    directory: Directory,
    database: Database = "",
    proof: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What `prove --out` wrote.", show_default=False)
    ] = None,
    unproven: Annotated[bool, typer.Option("--unproven", help="Go without a proof of the way back.")] = False,
    to: Annotated[int | None, typer.Option(metavar="NUMBER", help="The last one to apply.", show_default=False)] = None,
    release: Annotated[str, typer.Option(help="What to call it in the migration table.")] = "by hand",
    lock_timeout: LockTimeout = 0.05,
    lock_budget: LockBudget = 30.0,
    json: options.Json = False,
) -> None:
    """Apply what is pending, without making users queue; needs a proof, and every error of the lint answered.

    Nothing is asked of an empty database. Exits 3 when the lint or the proof says no, 1 when a migration fails: a
    transactional one has changed nothing then.
    """
    target, found = opened(database), files(directory)
    steps = [step for step in pending(read(found), target.applied()) if to is None or step.number <= to]
    proven = _proof(proof)
    if steps and (target.applied() or any(target.rows().values())):
        _insist_answered(steps)
        if not unproven:
            _insist_proven(proven, steps, found.get(SMOKE), target)
    done = [target.migrate(step, release, target.token(), lock_timeout, lock_budget) for step in steps]
    if proven and done:
        _insist_as_proven(proven, target)
    if json:
        show.data([row.model_dump(mode="json") for row in done])
        return
    for row in done:
        show.say(f"applied {row.number:04d}_{row.name}")
    show.say(f"{len(done)} migrations applied, schema {target.fingerprint()[:12]}", "green")


def _insist_answered(steps: Sequence[Migration]) -> None:
    said = [f"{one.file}:{one.line}: {one.rule}" for one in refusals([lint(step) for step in steps])]
    if both := torn(steps):
        said.append(f"one-schema-phase: {both}")
    if said:
        listed = "\n".join(said)
        raise Refused(f"{len(said)} unanswered\n{listed}", "`interlock schema lint` says what to write instead")


def _proof(file: Path | None) -> Proof | None:
    if file is None:
        return None
    try:
        return Proof.model_validate_json(text(file) or "")
    except ValidationError as error:
        raise Invalid(f"{file} is not a proof: {error.error_count()} problems", "`prove --out` writes one") from error


def _insist_proven(proof: Proof | None, steps: Sequence[Migration], new: str | None, target: Postgres) -> None:
    if proof is None:
        raise Refused(
            "nobody has walked the way back", "`interlock schema prove … --out FILE`, then --proof FILE; or --unproven"
        )
    if not proof.holds:
        raise Refused("the way back does not hold:\n" + "\n".join(it.says for it in proof.problems))
    way = WayBack(steps=tuple(steps), old=None, new=new)
    subject = subject_of(way, target.fingerprint()[: len(proof.subject.fingerprint)], proof.subject.server)
    as_proven = proof.subject.model_dump(include={"old", "invariants"})  # nobody tells them here
    if why := stale(proof, subject.model_copy(update=as_proven), time.time()):
        raise Refused(f"the proof does not count: {why}", "prove again")


def _insist_as_proven(proof: Proof, target: Postgres) -> None:
    expected = proof.rehearsal.seen["up"].fingerprint
    seen = target.fingerprint()[: len(expected)]
    if seen != expected:
        raise Conflict(
            f"the schema is not the one that was proven ({seen[:12]}, expected {expected[:12]})",
            "`interlock schema rollback` takes it back",
        )


def rollback(
    to: Annotated[int, typer.Option(metavar="NUMBER", help="The last one to keep.", show_default=False)],
    database: Database = "",
    lose: Annotated[
        str, typer.Option(metavar="COUNT", help="So many values may go, as it says when asked.", show_default=False)
    ] = "0",
    release: Annotated[str, typer.Option(help="Who does it.")] = "by hand",
    lock_timeout: LockTimeout = 0.05,
    lock_budget: LockBudget = 30.0,
    json: options.Json = False,
) -> None:
    """Take migrations back, the last one first, by the down scripts that they brought along.

    Each goes with its row in one transaction, and only to the schema from before it. Values that a down script would
    throw away are counted first, and their number must be typed. Exits 3 until it is, 1 when a script fails.
    """
    target = opened(database)
    rows = [row for row in reversed(target.recorded()) if row.number > to]
    if stuck := [row.label for row in rows if row.down is None]:
        said = f"{', '.join(stuck)}: no down script came along"
        raise Refused(said, "what it added stays: older versions run on it; or a new migration takes it away")
    _insist_agreed(target, rows, lose)
    for row in rows:
        target.revert(row, release, target.token(), lock_timeout, lock_budget)
        if not json:
            show.say(f"took back {row.label}")
    if json:
        show.data({"taken_back": [row.label for row in rows], "fingerprint": target.fingerprint()})
    else:
        show.say(f"{len(rows)} migrations taken back, schema {target.fingerprint()[:12]}", "green")


def _insist_agreed(target: Postgres, rows: Sequence[Recorded], lose: str) -> None:
    known = losses([back for row in rows if (back := row.undoing)])
    if known is None:
        if lose != _OPAQUE:
            hint = f"read them; if whatever they throw away may go: --lose {_OPAQUE}"
            raise Refused("the down scripts run code: nobody can tell what they throw away", hint)
        return
    held = _held(target, known)
    if (total := sum(held.values())) and lose != str(total):
        listed = "\n".join(f"{what}: {count}" for what, count in held.items() if count)
        raise Refused(f"{total} values would be thrown away\n{listed}", f"if they may go: --lose {total}")


def _held(target: Postgres, known: Sequence[Loss]) -> Mapping[str, int]:
    return {loss.says: target.held(loss.relation, loss.column) for loss in known}
