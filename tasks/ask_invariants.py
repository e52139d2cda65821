"""Ask a database what its service says must always be true of the rows: before a migration, and after it."""

from domain.errors import Refused, Rejected
from domain.ports import Database
from domain.release.plan import Plan
from domain.schema.invariant import Breach
from tasks.step import Warrant, note


@note
def insist_unbroken(warrant: Warrant, plan: Plan, database: Database) -> None:
    """Let nobody migrate rows that break an invariant already: nobody could tell whose doing it was.

    Raises Refused with each of them. One that cannot be asked may be about what the migration brings: the copy tells.
    """
    if broken := [breach for breach in _asked(plan, database) if breach.error is None]:
        raise Refused(
            f"{warrant.environment}: it was broken before; nothing was changed\n{_listed(broken)}",
            "mend the rows, or the query under `schema.invariants`, and release again",
        )


@note
def insist_kept(warrant: Warrant, plan: Plan, database: Database) -> None:
    """Let nothing be deployed on rows that break an invariant after the migration; raises Rejected with each of them.

    One that cannot be asked has not held.
    """
    if broken := _asked(plan, database):
        raise Rejected(
            f"{warrant.environment}: after the migration\n{_listed(broken)}",
            "it held on the copy: see what the migration met here that was not in the proof's backup",
        )


def _asked(plan: Plan, database: Database) -> tuple[Breach, ...]:
    schema = plan.schema_
    return database.breaches(schema.invariants, schema.invariant_timeout) if schema and schema.invariants else ()


def _listed(broken: list[Breach] | tuple[Breach, ...]) -> str:
    return "\n".join(f"- {breach.says}" for breach in broken)
