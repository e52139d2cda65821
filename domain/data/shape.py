"""What a database's catalog tells a copy: tables, columns, what is unique, and who refers to whom."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from domain.value import Value

Family = Literal["text", "integer", "numeric", "date", "uuid", "json", "boolean", "enum", "other"]

MINE = frozenset({"public.interlock_copy", "public.interlock_fence", "public.interlock_migrations"})
"""Interlock's own tables: no policy names them, and they hold nobody's data."""


class Column(Value):
    """One column of one table."""

    name: str
    type: str = Field(description="as SQL writes it: character varying(40)")
    base: str = Field(description="its catalog name, under any domain: varchar")
    family: Family
    limit: int | None = Field(default=None, description="characters that fit; none: any number")
    nullable: bool = True
    computed: bool = Field(default=False, description="generated from other columns of its row")
    default: bool = Field(default=False, description="has a default, or is an identity")
    portable: bool = Field(default=True, description="its binary form means the same in another database")
    labels: tuple[str, ...] = Field(default=(), description="of an enum")


class ForeignKey(Value):
    """A reference from columns of one table to columns of another, or of itself."""

    name: str
    table: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    """Pairs with `columns`, one by one."""

    @property
    def says(self) -> str:
        """Name it: `public.orders (customer_id) → public.customers (id)`."""
        return f"{self.table} ({', '.join(self.columns)}) → {self.target} ({', '.join(self.target_columns)})"


class Table(Value):
    """One table, called schema.table; a partitioned one stands for its partitions."""

    name: str
    columns: tuple[Column, ...]
    uniques: tuple[tuple[str, ...], ...] = ()
    """The columns of every unique index, the primary key's first; for an expression, those it reads."""
    keys: tuple[ForeignKey, ...] = ()
    partitioned: bool = False

    @property
    def written(self) -> tuple[Column, ...]:
        """The columns that a row is written with."""
        return tuple(column for column in self.columns if not column.computed)

    def column(self, name: str) -> Column | None:
        """Find a column."""
        return next((column for column in self.columns if column.name == name), None)


class Shape(Value):
    """All tables of a database by name, Interlock's own left out."""

    tables: dict[str, Table]
    foreign: tuple[str, ...] = Field(default=(), description="foreign servers, which hold passwords of their own")

    def references(self) -> Iterator[ForeignKey]:
        """List every foreign key."""
        return (key for table in self.tables.values() for key in table.keys)
