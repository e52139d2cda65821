"""`interlock schema status` and `fingerprint`: what a database has, and whether it is what it should be."""

from cli import options, show
from cli.migration_files import files
from cli.schema_database import Database, Directory, opened
from domain.errors import Conflict
from domain.schema.migration import Migration, Recorded, pending, read


def status(directory: Directory, database: Database = "", json: options.Json = False) -> None:
    """Say which migrations were applied, which are pending, and whether anybody changed the schema by hand.

    Exits 3 when an applied one was edited, is missing or comes out of order, 1 when the schema is not the one that the
    last one left.
    """
    target = opened(database)
    rows, steps = {row.number: row for row in target.recorded()}, {step.number: step for step in read(files(directory))}
    seen = target.fingerprint()
    last = max((row for row in rows.values() if row.state == "applied"), key=lambda row: row.number, default=None)
    expected = last.fingerprint_after if last else None
    drifted = expected is not None and expected != seen
    if json:
        todo = [step.label for number, step in sorted(steps.items()) if number not in rows]
        known = [row.model_dump(mode="json", exclude={"down"}) for row in rows.values()]
        show.data({"recorded": known, "pending": todo, "fingerprint": seen, "expected": expected, "drifted": drifted})
    else:
        numbers = sorted(rows.keys() | steps.keys())
        show.table(
            "migrations",
            ("migration", "phase", "state", "release", "when", "waited for locks", "took"),
            [_line(rows.get(number), steps.get(number)) for number in numbers],
        )
        show.say(f"schema {seen[:12]}")
    pending(tuple(steps.values()), target.applied())
    if drifted:
        raise Conflict(
            f"the schema is not the one that {last.label if last else '?'} left ({seen[:12]}, expected"
            f" {(expected or '')[:12]})",
            "somebody changed it by hand: bring it back, or record the change as a migration",
        )


def _line(row: Recorded | None, step: Migration | None) -> tuple[str, ...]:
    if row is None:
        assert step is not None  # a number comes from one of them
        return (step.label, step.phase, "pending", "", "", "", "")
    what = "batches" if step and step.batch else "statements"
    state = f"{row.state} ({row.statements} {what})" if row.state != "applied" else "applied"
    state = f"{state}, going back" if row.undone else state
    when = show.when(row.applied_at.isoformat())
    return (row.label, row.phase, state, row.release, when, f"{row.lock_wait_ms} ms", f"{row.exec_ms} ms")


def fingerprint(database: Database = "", json: options.Json = False) -> None:
    """Hash the schema: equal schemas have equal fingerprints, whatever the order of their columns.

    The last 16 of its 64 digits are grants and versions of extensions, which a dump does not carry.
    """
    seen = opened(database).fingerprint()
    show.data({"fingerprint": seen}) if json else show.say(seen)
