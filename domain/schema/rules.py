"""The rules of the schema lint: what each finding means for the people who use the database, and what to write."""

from collections.abc import Mapping
from typing import Literal

from domain.value import Value

Severity = Literal["error", "warning"]


class Rule(Value):
    """What happens to users, and what to write instead; an error without an answer stops a release."""

    severity: Severity
    happens: str
    instead: str


def _error(happens: str, instead: str) -> Rule:
    return Rule(severity="error", happens=happens, instead=instead)


def _warning(happens: str, instead: str) -> Rule:
    return Rule(severity="warning", happens=happens, instead=instead)


_BATCHES = "in a migration of its own with phase=migrate batch=5000 pause=100ms"
RULES: Mapping[str, Rule] = {
    # What keeps users waiting.
    "index-blocks-writes": _error(
        "nobody can write to the table while the index is built",
        "create index concurrently, alone in a migration with tx=off",
    ),
    "drop-index-blocks": _warning(
        "nobody can read or write the table until the transaction ends",
        "drop index concurrently, alone in a migration with tx=off",
    ),
    "volatile-default": _error(
        "every row is written anew while nobody can read or write the table",
        f"add the column without a default, set the default, fill the rows {_BATCHES}",
    ),
    "stored-column": _error(
        "every row is written anew while nobody can read or write the table",
        f"add a plain nullable column, fill it {_BATCHES}; a virtual generated column costs nothing",
    ),
    "column-type": _error(
        "every row may be written anew while nobody can read or write the table, and the version that runs may not "
        "understand the new type",
        f"add a column of the new type, write both, fill it {_BATCHES}; drop the old one in a later release",
    ),
    "table-moved": _error(
        "the whole table is written anew while nobody can read or write it",
        "a table that is filled beside the old one, or a tool that swaps them online; else a maintenance window",
    ),
    "not-null-scan": _error(
        "every row is read while nobody can read or write the table, and a single NULL makes it fail",
        "add constraint … not null COLUMN not valid; in a later migration: validate constraint …",
    ),
    "check-scan": _error(
        "every row is read while nobody can read or write the table",
        "add constraint … check (…) not valid; in a later migration: validate constraint …",
    ),
    "foreign-key-scan": _error(
        "every row is looked up while nobody can write to either table",
        "add constraint … foreign key … not valid; in a later migration: validate constraint …",
    ),
    "unique-scan": _error(
        "the index behind it is built while nobody can read or write the table",
        "create unique index concurrently with tx=off; then add constraint … unique using index …",
    ),
    "attach-scan": _warning(
        "every row of the partition is read while nobody can use it, unless a valid CHECK proves that it fits",
        "add that CHECK to the partition first, not valid, and validate it",
    ),
    "refresh-blocks-reads": _error(
        "nobody can read the view while it is filled anew",
        "refresh materialized view concurrently (it needs a unique index)",
    ),
    "explicit-lock": _error(
        "everybody who needs a weaker lock waits until the transaction ends",
        "leave it out: each statement takes what it needs, and Interlock queues for it briefly",
    ),
    "several-locks": _error(
        "users of the first table wait while the transaction queues for the second one",
        "one migration for each table",
    ),
    "work-under-lock": _error(
        "a lock that an earlier statement took keeps everybody out while rows are read or written",
        "a migration of its own: the lock ends with the transaction",
    ),
    "concurrently-in-transaction": _error(
        "PostgreSQL refuses it inside a transaction: the migration fails",
        "-- interlock: tx=off, and nothing else in the migration",
    ),
    "half-done": _warning(
        "with tx=off, a failure later in the script leaves this in place until the release is carried on",
        "tx=off only for what needs it, each in a migration of its own",
    ),
    # What an older version that still runs cannot survive.
    "wrong-phase": _error(
        "the header's phase promises something else: what is taken away breaks the version that still runs, and what "
        "is new comes too late with a contract step",
        "a migration of its own, with the phase that fits, in a release of its own",
    ),
    "required-column": _error(
        "the version that runs does not know the column: each of its inserts fails; on a table with rows, so does this",
        "give it a default, or leave it nullable until no older version runs",
    ),
    "drop-default": _warning(
        "inserts that leave the column out now write NULL, or fail",
        "keep the default until nobody relies on it",
    ),
    "rename": _error(
        "whoever uses the old name fails from this moment on",
        "add the new name beside the old one (a column that both versions write, or a view), drop the old one later; "
        "to put something aside, use a name or schema that starts with zz_dropped",
    ),
    "replaced": _error(
        "the version that runs gets the new definition at once",
        "create it under a new name, and drop the old one when nobody uses it any more",
    ),
    "new-trigger": _warning(
        "from now on it runs in every write of the version that runs",
        "make sure that it is quick, and right for both versions",
    ),
    "drop-trigger": _error(
        "what the trigger kept true is not kept any more",
        "drop it in the release after the last version that relies on it, and say here what replaces it",
    ),
    "cascade": _error(
        "everything that depends on it goes too, and the text does not say what that is",
        "drop what depends on it by name, first",
    ),
    "consumer": _error(
        "somebody outside the service reads this",
        "agree on it with the owner, and give that as the reason",
    ),
    # What is lost.
    "lossy": _error(
        "the data in it is gone; a down script brings back the name, not the rows",
        "rename it to zz_dropped_… or move it to a schema zz_dropped…, and drop it when no way back needs it any more",
    ),
    "truncate": _error(
        "all rows are gone at once, nobody can read the table meanwhile, and no row trigger sees them go",
        f"delete {_BATCHES}, or rename the table to zz_dropped_…",
    ),
    "delete-rows": _error(
        "the rows are gone; a down script cannot bring them back",
        f"copy them into a table zz_dropped_… first; delete {_BATCHES}",
    ),
    "mass-update": _error(
        "every row is locked until the transaction ends, and what stood there is overwritten",
        f"update {_BATCHES}, where it is not done yet",
    ),
    "backfill": _warning(
        "the rows it meets are locked until the transaction ends, and what stood there is overwritten",
        f"if they are many: {_BATCHES}",
    ),
    # What cannot be told, or walked back.
    "syntax": _error("PostgreSQL would not read it: the migration fails", "mend it; psql's own commands are no SQL"),
    "opaque": _error(
        "it can do anything, and nobody can tell from the text",
        "plain statements; else say what it does, and rely on the proof of the way back",
    ),
    "own-transaction": _error(
        "it ends the migration's transaction or its time-outs, so that a failure leaves half of it",
        "leave it out: Interlock opens the transaction and sets the time-outs (header: tx=, timeout=)",
    ),
    "search-path": _error(
        "names mean something else from here on than this lint reads into them",
        "write the schema before the name",
    ),
    "enum-value": _warning(
        "a value cannot be taken away again, and cannot be used before the transaction has ended",
        "a CHECK or a table of values, where a way back matters",
    ),
    "loosened": _warning(
        "what is written from now on may break the rule, and then the way back fails",
        "keep the rule until no way back needs it",
    ),
    "missing-down": _error("the schema cannot be taken back", "a file NNNN_name.down.sql that undoes each statement"),
    "expand-stays": _warning(
        "without a down script what it adds can only stay; older versions run on it",
        "a file NNNN_name.down.sql that undoes each statement",
    ),
    "not-undone": _error(
        "the way back leaves something behind, so that going forward again fails",
        "undo it in the down script",
    ),
    "unused-allow": _warning("it accepts nothing that was found", "remove it, or move it beside its statement"),
}
