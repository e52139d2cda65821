"""What a way back must satisfy: rules that each say where a rehearsal showed something else."""

from collections.abc import Callable, Iterator, Mapping

from domain.schema.backup import TableDigest
from domain.schema.rehearsal import Moment, Rehearsal, Seen, WayBack
from domain.value import Value


class Problem(Value):
    """One reason why the way back does not hold; `about` is the rule, for machines."""

    about: str
    says: str


def _everything_works(_: WayBack, rehearsal: Rehearsal) -> Iterator[Problem]:
    """No script and no statement of either version fails."""
    for failure in rehearsal.failures:
        yield Problem(about=failure.moment, says=f"{_HAPPENS[failure.moment]}: {failure.what}: {failure.says}")


_HAPPENS: Mapping[Moment, str] = {
    "old version before": "the old version's own statement fails on the schema it has now, so it can show nothing",
    "up": "the migration fails",
    "old version": "the old version fails on the new schema",
    "new version": "the new version fails on its own schema",
    "down": "the way back fails",
    "old version after": "the old version fails after the way back",
    "old writes alone": "the old version fails on its own schema",
    "old writes alone again": "the old version fails on its own schema",
    "old writes taken back": "the way back fails once the old version has written",
    "up again": "after the way back it cannot go forward again",
    "writes": "what is written on the new schema fails",
    "down after writes": "the way back fails once rows were written",
    "up after writes": "once rows were written, it cannot go forward again",
}


_SILENT = (
    "the old version has no statements to try: nothing shows that it works; "
    "give it a smoke.sql beside its migrations, and release that first"
)


def _the_old_version_was_tried(way: WayBack, _: Rehearsal) -> Iterator[Problem]:
    """Something that serves must be seen to work on the new schema."""
    if way.old is not None and not way.old.strip():
        yield Problem(about="not tried", says=_SILENT)


def _there_is_a_way_back(way: WayBack, _: Rehearsal) -> Iterator[Problem]:
    """Only expand steps may do without a down script."""
    for step in way.steps:
        if step.down is None and step.phase != "expand":
            yield Problem(about="no way back", says=f"{step.label} ({step.phase}) has no down script")


def _the_way_back_leads_back(way: WayBack, rehearsal: Rehearsal) -> Iterator[Problem]:
    """After down the schema and every row are those of before, and no sequence gives out a number twice."""
    before, after = rehearsal.seen.get("old version before"), rehearsal.seen.get("down")
    if not way.whole or before is None or after is None:
        return
    if before.fingerprint != after.fingerprint:
        yield Problem(about="schema", says="the way back leads to another schema than the one before")
    for table in _differing(before.tables, after.tables):
        said = _difference(before.tables.get(table), after.tables.get(table))
        yield Problem(about="data", says=f"after the way back, {table} {said}")
    yield from _fallen_back(before, after)


def _fallen_back(before: Seen, after: Seen) -> Iterator[Problem]:
    for name, last in before.sequences.items():
        if name in after.sequences and after.sequences[name] < last:
            says = f"sequence {name} fell back from {last} to {after.sequences[name]}: it gives out numbers twice"
            yield Problem(about="data", says=says)


def _it_goes_forward_again(way: WayBack, rehearsal: Rehearsal) -> Iterator[Problem]:
    """Up after down gives the same schema and as many rows as the first time; numbers that it draws are others."""
    first, again = rehearsal.seen.get("up"), rehearsal.seen.get("up again")
    if not way.undone or first is None or again is None:
        return
    if first.fingerprint != again.fingerprint:
        yield Problem(about="up again", says="going forward again leads to another schema than the first time")
    if way.whole:
        for table in sorted(first.tables.keys() & again.tables.keys()):
            once, twice = first.tables[table].rows, again.tables[table].rows
            if once != twice:
                yield Problem(about="up again", says=f"going forward again, {table} has {twice} rows instead of {once}")


def _it_goes_forward_once_more(way: WayBack, rehearsal: Rehearsal) -> Iterator[Problem]:
    """What was written does not bar the way: going up once more gives the same schema."""
    first, more = rehearsal.seen.get("up"), rehearsal.seen.get("up after writes")
    if way.undone and first and more and first.fingerprint != more.fingerprint:
        yield Problem(about="up again", says="once rows were written, going forward again leads to another schema")


def _what_the_old_version_writes_stays(way: WayBack, rehearsal: Rehearsal) -> Iterator[Problem]:
    """What the old version writes on the new schema is, after the way back, what it would have written without it.

    Columns that are not even the same when it writes alone twice are left out.
    """
    alone, back = rehearsal.seen.get("old writes alone"), rehearsal.seen.get("old writes taken back")
    if not way.whole or alone is None or back is None:
        return
    if any(failure.moment == "old version" for failure in rehearsal.failures):
        return  # it is told already that it cannot write what it would
    again = rehearsal.seen.get("old writes alone again", alone)
    for table in _differing(alone.tables, back.tables):
        want, got = alone.tables.get(table), back.tables.get(table)
        if want and got and want.rows == got.rows:
            once, twice = alone.columns.get(table, {}), again.columns.get(table, {})
            found = back.columns.get(table, {})
            sure = {column for column in once if twice.get(column) == once[column]}
            said = [
                f"{table}.{column} has other content" for column in sorted(sure) if found.get(column) != once[column]
            ]
        else:
            said = [f"{table} {_difference(want, got)}"]
        for what in said:
            says = f"what the old version writes on the new schema is not what it would have written: {what}"
            yield Problem(about="writes", says=says)


def _what_was_written_stays(way: WayBack, rehearsal: Rehearsal) -> Iterator[Problem]:
    """Rows that were written on the new schema outlive the way back, in all columns that the old one knows.

    A column that the way up itself rewrites cannot be held against what it was there: but it must not be as if nobody
    had written. Its table's rows are counted.
    """
    names: tuple[Moment, ...] = ("down", "up again", "writes", "down after writes")
    moments = [rehearsal.seen.get(name) for name in names]
    if not way.whole or None in moments:
        return
    old, new, written, after = (moment for moment in moments if moment is not None)
    if after.fingerprint != old.fingerprint:
        yield Problem(about="schema", says="once rows were written, the way back leads to another schema")
    for table in sorted(old.tables.keys() & new.tables.keys() & written.tables.keys() & after.tables.keys()):
        wrote = written.tables[table].rows - new.tables[table].rows
        left = after.tables[table].rows - old.tables[table].rows
        if wrote != left:
            says = f"{wrote:+} rows were written to {table} on the new schema, {left:+} are there after the way back"
            yield Problem(about="writes", says=says)
            continue
        for column in _lost(table, old, new, written, after):
            says = f"what was written to {table}.{column} on the new schema is something else after the way back"
            yield Problem(about="writes", says=says)
    yield from _fallen_back(written, after)


def _lost(table: str, *moments: Seen) -> Iterator[str]:
    """Name the columns whose values were lost; by the moments before, up, written, and after."""
    before, up, written, after = (moment.columns.get(table, {}) for moment in moments)
    for column in sorted(before.keys() & up.keys() & written.keys() & after.keys()):
        steady, touched = before[column] == up[column], written[column] != up[column]
        if (steady and written[column] != after[column]) or (touched and after[column] == before[column]):
            yield column


def _differing(one: Mapping[str, TableDigest], other: Mapping[str, TableDigest]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _difference(want: TableDigest | None, got: TableDigest | None) -> str:
    if want is None or got is None:
        return "is gone" if want else "is there, and was not before"
    return f"has {got.rows} rows instead of {want.rows}" if want.rows != got.rows else "has other content"


def _invariants_hold(_: WayBack, rehearsal: Rehearsal) -> Iterator[Problem]:
    """What the service says of its rows is true before the migration, after it, and after the way back."""
    for moment, found in rehearsal.breaches.items():
        for breach in found:
            yield Problem(about="invariant", says=f"{_ASKED[moment]}, {breach.says}")


_ASKED: Mapping[Moment, str] = {
    "old version before": "it was broken before: as the database is now",
    "up": "after the migration",
    "down": "after the way back",
}

RULES: tuple[Callable[[WayBack, Rehearsal], Iterator[Problem]], ...] = (
    _the_old_version_was_tried,
    _there_is_a_way_back,
    _everything_works,
    _invariants_hold,
    _the_way_back_leads_back,
    _it_goes_forward_again,
    _what_the_old_version_writes_stays,
    _what_was_written_stays,
    _it_goes_forward_once_more,
)
"""Every rule that a way back must satisfy; the order is that of the report."""
