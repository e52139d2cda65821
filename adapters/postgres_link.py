"""A connection to a service's database; what goes wrong with it is told without the connection string."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from psycopg.conninfo import make_conninfo

from adapters.postgres_catalog import Link
from domain.errors import Invalid, Unavailable
from domain.ports import Secrets

_BROKEN = (psycopg.OperationalError, psycopg.InterfaceError, errors.IdleInTransactionSessionTimeout)
_NO_ENTRY = re.compile(r"FATAL:\s*(.*(?:authentication failed|does not exist|no pg_hba\.conf entry|not permitted).*)")


@contextmanager
def connected(reference: str, secrets: Secrets, patience: float, database: str | None = None) -> Iterator[Link]:
    """Connect, to another database of the same server if one is named; `patience` is the statement time-out in seconds.

    Raises Invalid for what a person must mend, Unavailable for what may work later.
    """
    link = _connect(reference, secrets, database)
    try:
        link.execute("select set_config('statement_timeout', %s, false)", (f"{round(patience * 1000)}ms",))
        yield link
    except errors.InsufficientPrivilege as error:
        raise Invalid(f"{reference}: {_primary(error)}", "grant it to the migrator's role") from error
    except errors.QueryCanceled as error:
        raise Unavailable(f"{reference}: no answer within {patience:g} s", "see what the server does") from error
    except _BROKEN as error:
        raise Unavailable(f"{reference}: the database broke off: {_primary(error)}", "try again") from error
    except psycopg.Error as error:
        raise Invalid(f"{reference}: {_primary(error)}", "the server may be older than 14") from error
    finally:
        link.close()


def _connect(reference: str, secrets: Secrets, database: str | None) -> Link:
    lively = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "tcp_user_timeout": 60_000}
    try:
        target = make_conninfo(secrets.resolve(reference), application_name="interlock", dbname=database, **lively)
        return psycopg.connect(target, autocommit=True)
    except psycopg.OperationalError as error:  # its text can hold a piece of a badly quoted password: not chained
        if refused := _NO_ENTRY.search(str(error)):
            raise Invalid(f"{reference}: {refused[1]}", "check the connection string behind it") from None
        raise Unavailable(f"{reference}: the database does not answer", "is it running, and reachable?") from None
    except psycopg.ProgrammingError:
        hint = "write postgresql://user:password@host:port/database, special characters %-encoded"
        raise Invalid(f"{reference}: its value is not a connection string", hint) from None


def _primary(error: psycopg.Error) -> str:
    return error.diag.message_primary or type(error).__name__
