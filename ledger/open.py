"""Open the ledger: connect, bring its tables up to date, guard the journal.

Writers take turns: SQLite by BEGIN IMMEDIATE, PostgreSQL by a transaction-scoped advisory lock.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Float,
    String,
    create_engine,
    event,
    exc,
    insert,
    inspect,
    literal_column,
    make_url,
    select,
    text,
)
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import DDL

from domain.chain import GENESIS
from domain.errors import Invalid, Unavailable
from ledger.tables import JOURNAL, UPGRADE, Kept

# The two clocks of each database: seconds since the epoch, and ISO 8601 UTC with milliseconds.
# PostgreSQL's now() stands still within a transaction, clock_timestamp() does not.
_CLOCK = {
    "sqlite": (
        "((julianday('now') - 2440587.5) * 86400.0)",
        "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
    ),
    "postgresql": (
        "cast(extract(epoch from clock_timestamp()) as double precision)",
        "to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
    ),
}
_BUSY_TIMEOUT = 30.0  # seconds that SQLite waits for another writer
_WRITERS_LOCK = text("select pg_advisory_xact_lock(7314851)")  # any number; every Interlock must use the same one


class Ledger:
    """A connected ledger: transactions on it, and its clock as SQL (`now` in seconds, `stamp` as ISO 8601 UTC)."""

    def __init__(self, engine: Engine) -> None:
        now, stamp = _CLOCK[engine.dialect.name]
        self.now = literal_column(now, Float)
        self.stamp = literal_column(stamp, String)
        self._engine = engine
        self._name = engine.url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read in one transaction, beside any writer. Raises Unavailable when the database does not answer."""
        with self._translated(), self._engine.connect().execution_options(reads=True) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Be the only writer, in this or any process, until the block ends: then commit, or roll back if it raised.

        Raises Unavailable when the database does not answer or others write for too long.
        """
        with self._translated(), self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(_WRITERS_LOCK)
            yield connection

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (exc.OperationalError, exc.InterfaceError) as error:
            raise Unavailable(f"ledger {self._name}: {_said(error)}", "is the database up and reachable?") from error
        except exc.TimeoutError as error:
            raise Unavailable(f"ledger {self._name}: no free connection", "too many threads use this ledger") from error
        except exc.DBAPIError as error:
            hint = "only Interlock may write these tables; check the database, its file and its user's rights"
            raise Invalid(f"ledger {self._name}: {_said(error)}", hint) from error


def open_ledger(url: str) -> Ledger:
    """Connect to `sqlite:///FILE`, `sqlite://` (in memory) or `postgresql://…`; create or upgrade its tables.

    Safe to call from many processes at once. Raises Invalid for any other URL, for a file that is no database and for
    a ledger that a newer Interlock has upgraded; Unavailable when the database does not answer.
    """
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise Invalid("ledger: this is not a database URL", "write sqlite:///FILE or postgresql://…") from error
    connect = _CONNECT.get(parsed.get_backend_name())
    if connect is None:
        raise Invalid(
            f"ledger: {parsed.get_backend_name()} is not supported",
            "write sqlite:///FILE or postgresql://USER@HOST/NAME",
        )
    ledger = Ledger(connect(parsed))
    _upgrade(ledger)
    return ledger


def _sqlite(url: URL) -> Engine:
    memory = url.database in {None, "", ":memory:"}
    if not memory:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        poolclass=QueuePool,
        pool_size=1 if memory else 5,  # a database in memory is its connection: threads share it in turn
        max_overflow=0 if memory else 10,
        connect_args={"check_same_thread": False, "timeout": _BUSY_TIMEOUT},
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # no BEGIN of the driver's own: _begin_sqlite says which
    connection.execute("pragma synchronous = full")  # a fact that was acknowledged survives a power cut
    give_up = time.monotonic() + _BUSY_TIMEOUT
    while not _switched_to_wal(connection, last_try=time.monotonic() > give_up):
        time.sleep(0.02)


def _switched_to_wal(connection: sqlite3.Connection, last_try: bool) -> bool:
    """Turn on the write-ahead log; SQLite itself does not wait here when another process opens the same new file."""
    try:
        connection.execute("pragma journal_mode = wal")
    except sqlite3.OperationalError as error:
        if last_try or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get("reads")
    connection.exec_driver_sql("begin" if reads else "begin immediate")


def _postgres(url: URL) -> Engine:
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED",  # an older snapshot would show a stale head of the chain after the lock
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 5,
            "tcp_user_timeout": 10_000,
            # A writer that is frozen in the middle must not hold the lock for ever.
            "options": "-c statement_timeout=15s -c lock_timeout=10s -c idle_in_transaction_session_timeout=30s",
        },
        hide_parameters=True,
    )


_CONNECT: Mapping[str, Callable[[URL], Engine]] = {"sqlite": _sqlite, "postgresql": _postgres}


def _m001_journal_lease_outbox(connection: Connection) -> None:
    Kept.metadata.create_all(connection)


# Append only. A step runs once, in the order given; its name is kept in the table `upgrade`.
_STEPS: tuple[Callable[[Connection], None], ...] = (_m001_journal_lease_outbox,)


def _upgrade(ledger: Ledger) -> None:
    names = [step.__name__ for step in _STEPS]
    with ledger.reading() as connection:
        if _applied(connection) == set(names):
            return
    with ledger.writing() as connection:
        applied = _applied(connection)
        if unknown := applied.difference(names):
            raise Invalid(f"this ledger has been upgraded by a newer Interlock: {', '.join(sorted(unknown))}", "update")
        for step in _STEPS:
            if step.__name__ not in applied:
                step(connection)
                connection.execute(insert(UPGRADE), {"name": step.__name__})


def _applied(connection: Connection) -> set[str]:
    if not inspect(connection).has_table("upgrade"):
        return set()
    return set(connection.scalars(select(UPGRADE.c.name)))


def _said(error: exc.DBAPIError) -> str:
    """Give the database's own first line; SQLAlchemy's text would add the statement."""
    return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]


# The journal defends itself: nothing is changed or removed, and a new row must follow the last one (which also refuses
# SQLite's INSERT OR REPLACE, for which delete triggers do not fire). Whoever owns the database can drop these triggers;
# then the chain tells (domain/chain.py).
_GUARDS = {
    "sqlite": (
        "create trigger journal_update before update on journal"
        " begin select raise(abort, 'the journal is append-only'); end",
        "create trigger journal_delete before delete on journal"
        " begin select raise(abort, 'the journal is append-only'); end",
        "create trigger journal_insert before insert on journal"
        " when new.seq is not (select coalesce(max(seq), 0) + 1 from journal)"
        f" or new.previous is not coalesce((select hash from journal order by seq desc limit 1), '{GENESIS}')"
        " begin select raise(abort, 'this row does not follow the last one'); end",
    ),
    "postgresql": (
        "create or replace function journal_refuse() returns trigger language plpgsql as"
        " $$ begin raise exception 'the journal is append-only'; end $$",
        "create or replace function journal_follow() returns trigger language plpgsql as"
        " $$ declare last record; begin"
        " select seq, hash into last from journal order by seq desc limit 1;"
        f" if new.seq <> coalesce(last.seq, 0) + 1 or new.previous <> coalesce(last.hash, '{GENESIS}')"
        " then raise exception 'this row does not follow the last one'; end if; return new; end $$",
        "create trigger journal_change before update or delete on journal"
        " for each row execute function journal_refuse()",
        "create trigger journal_truncate before truncate on journal"
        " for each statement execute function journal_refuse()",
        "create trigger journal_insert before insert on journal for each row execute function journal_follow()",
    ),
}


for _dialect, _statements in _GUARDS.items():
    for _statement in _statements:
        _ddl = DDL(_statement)  # type: ignore[no-untyped-call]  # SQLAlchemy left its signature untyped
        event.listen(JOURNAL, "after_create", _ddl.execute_if(dialect=_dialect))
