"""Interlock's own changes to the application's tables, by a migrator's rules: alone, fenced, out of the queue."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import psycopg

from adapters import postgres_fence as fence
from adapters.postgres_script import Statement
from adapters.postgres_turn import Turn
from domain.errors import Rejected
from domain.schema.migration import Migration

READERS = ("AccessShareLock", "RowShareLock")
"""Modes that SHARE ROW EXCLUSIVE, which a trigger or a freeze needs, goes along with."""


class Deed(Migration):
    """A script that is nobody's migration, and has no number."""

    @property
    def label(self) -> str:
        """Say what it does."""
        return self.name


@dataclass
class Errand(Turn):
    """One attempt at a script of our own; `tables` are those that it locks, by OID."""

    tables: list[int] = field(default_factory=list)

    @cached_property
    def targets(self) -> list[int]:
        """The tables that were named."""
        return self.tables

    def failed(self, error: psycopg.Error, statement: Statement, then: str) -> Rejected:
        """Say what went wrong; it is no migration that must be mended."""
        return Rejected(super().failed(error, statement, then).message, "see the message, then try again")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one for as long as the block lasts; raises what `begin` does."""
        self.begin()
        try:
            yield
        finally:
            if not self.link.broken:
                self.link.execute("select pg_advisory_unlock(%s)", (fence.ADVISORY,))


@dataclass(frozen=True)
class Manners:
    """Under which token, and how long one lock and all of them together may be waited for, in seconds."""

    token: int = 0
    lock_timeout: float = 0.05
    lock_budget: float = 30.0
