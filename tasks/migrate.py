"""Bring the schema to the plan's version, or leave it exactly as it was."""

from domain.errors import Conflict, Rejected
from domain.ports import Database
from domain.release.outcomes import Migrated
from domain.release.plan import Plan, Stage
from tasks.step import Warrant, step


@step(Migrated, timeout=3600)
def migrate(warrant: Warrant, plan: Plan, stage: Stage, known: str | None, database: Database | None) -> Migrated:
    """Apply the plan's schema steps one by one; `known` is the fingerprint the journal remembers.

    Raises Conflict when the schema drifted from what the journal knows, Rejected when a step fails; a failed step
    leaves the fingerprint it found.
    """
    if database is None or plan.schema_ is None:
        return Migrated()
    before = database.fingerprint()
    done = {row.number for row in database.applied()}
    todo = [step for step in stage.schema_steps if step.number not in done]
    if known and before != known and len(todo) == len(stage.schema_steps):
        raise Conflict(
            f"{stage.environment}: the schema is not what the last release left ({before[:12]}, expected {known[:12]})",
            "somebody changed it by hand: bring it back, or record the change as a migration",
        )
    applied = []
    for item in todo:
        here = database.fingerprint()
        try:
            applied.append(database.migrate(item, warrant.release, plan.schema_.lock_timeout, plan.schema_.lock_budget))
        except Rejected as error:
            if item.transactional and database.fingerprint() != here:
                raise Conflict(f"{error.message}\nand the schema is not as before", error.hint) from error
            raise
    return Migrated(before=before, after=database.fingerprint(), applied=tuple(applied))
