"""Bring the schema forward one migration at a time, or leave it exactly as it was."""

from domain.errors import Conflict, Rejected
from domain.ports import Database
from domain.release import standing
from domain.release.outcomes import Migrated
from domain.release.plan import Plan
from domain.schema.migration import Migration
from tasks.operate import NO_TOOLS, Tools
from tasks.step import Warrant, note, step

_LONGEST = 86_400.0  # seconds: a backfill may take hours; each of its statements has a time-out of its own


def already_applied(
    warrant: Warrant,
    plan: Plan,
    item: Migration,
    database: Database | None,
    tools: Tools = NO_TOOLS,
) -> Migrated | None:
    """Find the migration's own row, whoever left it, and the schema as it was right after.

    Raises Conflict when nothing was applied since and the schema is another one all the same.
    """
    rows = database.applied() if database else ()
    found = next((row for row in rows if (row.number, row.checksum) == (item.number, item.checksum)), None)
    if database is None or found is None:
        return None
    seen = database.fingerprint()
    if found == rows[-1]:
        _insist_unchanged(warrant.environment, seen, found.fingerprint)
    return Migrated(after=seen, applied=(found,))


@step(Migrated, observe=already_applied, timeout=_LONGEST)
def migrate(
    warrant: Warrant, plan: Plan, item: Migration, database: Database | None, tools: Tools = NO_TOOLS
) -> Migrated:
    """Apply one migration, by SQL or by the image's own tool; one that is applied already is left alone.

    One without a transaction that was cut off is taken up where it is, whatever the schema looks like there.
    Raises Conflict when the schema is not what the journal knows, Rejected when the migration fails; a failed
    transactional one leaves the fingerprint it found.
    """
    if database is None or plan.schema_ is None:
        return Migrated()
    if there := already_applied(warrant, plan, item, database):
        return there
    before = None if database.begun(item) else inspect(warrant, database)
    warrant.check()
    try:
        patience = plan.schema_.lock_timeout, plan.schema_.lock_budget
        row = database.migrate(item, warrant.release, warrant.token, *patience, tools.new)
    except Rejected as error:
        if item.transactional and database.fingerprint() != before:
            raise Conflict(f"{error.message}\nand the schema is not as before", error.hint) from error
        raise
    return Migrated(before=before, after=database.fingerprint(), applied=(row,))


@note
def inspect(warrant: Warrant, database: Database | None) -> str | None:
    """Return the schema's fingerprint, None without a database; raises Conflict when it drifted from the journal."""
    if database is None:
        return None
    seen = database.fingerprint()
    entries = warrant.journal.entries(service=warrant.service, environment=warrant.environment)
    _insist_unchanged(warrant.environment, seen, standing.fold(entries).fingerprint)
    return seen


def _insist_unchanged(environment: str, seen: str, known: str | None) -> None:
    if known and seen != known:
        raise Conflict(
            f"{environment}: the schema is not what the last release left ({seen[:12]}, expected {known[:12]})",
            "somebody changed it by hand: bring it back, or record the change as a migration",
        )
