"""What a capture has seen, and whether a restored backup can be brought up to date from it."""

from collections.abc import Iterator, Mapping

from pydantic import Field

from domain.value import Value


class Layout(Value):
    """A table as a replay needs to know it; columns that are generated are left out."""

    key: tuple[str, ...] = Field(description="the columns of its primary key, in order; empty: it has none")
    columns: dict[str, str] = Field(description="name → type")


class Watch(Value):
    """What is captured of one table."""

    key: tuple[str, ...]
    whole: bool = Field(description="its triggers are there, and nobody switched them off")
    in_time: bool = Field(default=True, description="it was armed before the backup's snapshot")
    truncated: bool = Field(default=False, description="emptied by TRUNCATE, which names no rows")
    changed: int = Field(default=0, description="rows written or deleted since the snapshot, each counted once")


class Capture(Value):
    """A database's capture: every table that is watched, and how much was noted down."""

    tables: dict[str, Watch] = {}
    unwatched: tuple[str, ...] = ()
    marks: int = Field(default=0, description="noted down in all; not counted when a snapshot is asked about")
    size: int = Field(default=0, description="bytes on the disk")
    frozen: str = Field(default="", description="the database that took its place; empty: it may be written to")

    @property
    def armed(self) -> bool:
        """Tell whether no write escapes it."""
        return bool(self.tables) and not self.unwatched and all(watch.whole for watch in self.tables.values())

    @property
    def changed(self) -> int:
        """Count the rows that were written or deleted since the snapshot it was asked about."""
        return sum(watch.changed for watch in self.tables.values())


def uncapturable(tables: Mapping[str, Layout]) -> tuple[str, ...]:
    """Say of which tables no capture can tell the changed rows."""
    return tuple(f"{name} has no primary key: nobody can tell which of its rows changed" for name in _keyless(tables))


def obstacles(old: Mapping[str, Layout], living: Mapping[str, Layout], capture: Capture) -> tuple[str, ...]:
    """Say everything that keeps what the living database has from being replayed into one of the old schema.

    A table that nobody wrote to since the backup is left as the backup has it: there may be anything about it.
    """
    found = [*uncapturable({name: table for name, table in old.items() if name in living})]
    for name, table in sorted(old.items()):
        if table.key:
            found += _of_table(name, table, living.get(name), capture.tables.get(name))
    return tuple(found)


def lost(old: Mapping[str, Layout], capture: Capture) -> int | None:
    """Count the rows that a bare restore would lose, written or deleted since; None when nobody can tell."""
    watches = [capture.tables.get(name) for name in old]
    if any(watch is None or not watch.whole or not watch.in_time or watch.truncated for watch in watches):
        return None
    return sum(watch.changed for watch in watches if watch)


def replayed(old: Layout, living: Layout) -> tuple[str, ...]:
    """Name the columns that both have and that are written, in the order of the old schema."""
    return tuple(name for name, kind in old.columns.items() if living.columns.get(name) == kind)


def left_behind(old: Mapping[str, Layout], living: Mapping[str, Layout]) -> tuple[str, ...]:
    """Name what only the living database has: tables, and `table.column`; the old version knows none of it."""
    tables = [name for name in living if name not in old]
    columns = [f"{name}.{it}" for name, table in old.items() if name in living for it in living[name].columns
               if it not in table.columns]  # fmt: skip
    return (*sorted(tables), *sorted(columns))


def _keyless(tables: Mapping[str, Layout]) -> list[str]:
    return sorted(name for name, table in tables.items() if not table.key)


def _of_table(name: str, old: Layout, living: Layout | None, watch: Watch | None) -> Iterator[str]:
    if living is None:
        if watch is None or watch.changed or not watch.in_time:
            yield f"{name} is gone from the living database, and was written to since the backup, or not watched"
        return
    if watch is None:
        yield f"{name} is not watched: nobody knows what was written to it"
        return
    if not watch.whole:
        yield f"{name}: a trigger of the capture is missing or switched off"
    if not watch.in_time:
        yield f"{name} was armed after the backup: what was written before that is not known"
    if watch.truncated:
        yield f"{name} was emptied by TRUNCATE since the backup, which names no rows"
    if watch.key != old.key or living.key != old.key:
        yield f"{name} has another primary key than at the time of the backup"
    if watch.changed:
        yield from _of_columns(name, old, living)


def _of_columns(name: str, old: Layout, living: Layout) -> Iterator[str]:
    for column, kind in old.columns.items():
        if column not in living.columns:
            yield f"{name}.{column} is gone from the living database: rows written since have no value for it"
        elif (now := living.columns[column]) != kind:
            yield f"{name}.{column} was {kind} and is {now}: what it means may have changed"
