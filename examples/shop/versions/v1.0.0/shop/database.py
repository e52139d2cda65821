"""PostgreSQL: a few connections, kept open, replaced when they break."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.rows import class_row

Row = TypeVar("Row")


class Unavailable(Exception):
    """The database did not answer."""


class Database:
    """A handful of connections; whoever finds none free waits for one, but not for long.

    psycopg_pool does this and more; it is left out because the shop needs no more.
    """

    def __init__(self, conninfo: Callable[[], str], size: int = 4, patience: float = 5.0) -> None:
        self._conninfo = conninfo
        self._patience = patience
        # Last in, first out: at low load one warm connection does the work and the others stay unopened.
        self._free: asyncio.LifoQueue[psycopg.AsyncConnection[Any] | None] = asyncio.LifoQueue()
        for _ in range(size):
            self._free.put_nowait(None)

    async def fetch(self, kind: type[Row], statement: LiteralString, values: Mapping[str, object] = {}) -> list[Row]:
        """Run one statement in a transaction of its own and return its rows as `kind`.

        A connection that turns out to be broken is replaced, and the statement is sent once more: every statement of
        the shop may run twice. Raises Unavailable.
        """
        try:
            connection = await asyncio.wait_for(self._free.get(), self._patience)
        except TimeoutError as error:
            raise Unavailable("no connection became free") from error
        try:
            if connection is None or connection.closed:
                connection = await self._connect()
            try:
                return await _run(connection, kind, statement, values)
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
                connection = await self._connect()
                return await _run(connection, kind, statement, values)
        except (psycopg.OperationalError, OSError) as error:
            raise Unavailable(str(error)) from error
        finally:
            self._free.put_nowait(connection)

    async def close(self) -> None:
        """Close the connections that are not in use."""
        while not self._free.empty():
            if connection := self._free.get_nowait():
                await connection.close()

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(
            self._conninfo(),
            autocommit=True,
            connect_timeout=3,
            application_name="shop",
            options="-c statement_timeout=5000",
        )


async def _run(
    connection: psycopg.AsyncConnection[Any], kind: type[Row], statement: LiteralString, values: Mapping[str, object]
) -> list[Row]:
    async with connection.cursor(row_factory=class_row(kind)) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()
