"""One end of a copy: a PostgreSQL database behind a URL, told without its password."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters import postgres_backup as archive
from adapters.postgres_catalog import Link
from domain.errors import Invalid, Rejected, Unavailable

MAINTENANCE = "postgres"  # a database that every server has: none can be renamed by a session of its own

_BROKEN = (psycopg.OperationalError, psycopg.InterfaceError, errors.IdleInTransactionSessionTimeout)
_NO_ENTRY = re.compile(r"FATAL:\s*(.*(?:authentication failed|does not exist|no pg_hba\.conf entry|not permitted).*)")


class End:
    """A database, the source of a copy or its target; `name` is another one on the same server."""

    def __init__(self, dsn: str, name: str | None = None) -> None:
        try:
            self.parts = conninfo_to_dict(dsn, **({"dbname": name} if name else {}))
        except psycopg.ProgrammingError:
            hint = "write postgresql://user:password@host:port/database, special characters %-encoded"
            raise Invalid("the URL of the database cannot be read (not shown)", hint) from None
        self._dsn = dsn
        self.name = str(self.parts.get("dbname") or "")
        if not self.name:
            raise Invalid("the URL names no database", "end it with /DATABASE")

    def __str__(self) -> str:
        return f"{self.parts.get('host', 'localhost')}:{self.parts.get('port', 5432)}/{self.name}"

    __repr__ = __str__

    def beside(self, name: str) -> "End":
        """Name another database on the same server, with the same login."""
        return End(self._dsn, name)

    def environment(self) -> Mapping[str, str]:
        """Give the environment in which PostgreSQL's own programs find this database."""
        return archive.environment(make_conninfo(self._dsn, dbname=self.name))

    @contextmanager
    def link(self, settings: Mapping[str, str] | None = None) -> Iterator[Link]:
        """Connect in autocommit, with settings that travel in the greeting: no statement, and so no log, holds them.

        Raises Invalid for what asking again would not change, Unavailable for what it might.
        """
        link = self._connect(settings or {})
        try:
            with self.telling(link):
                link.execute("select set_config('statement_timeout', %s, false)", (f"{archive.PATIENCE:.0f}s",))
                yield link
        finally:
            link.close()

    @contextmanager
    def telling(self, link: Link) -> Iterator[None]:
        """Tell errors of this end as its own, inside a block that belongs to the other."""
        try:
            yield
        except errors.InsufficientPrivilege as error:
            raise Invalid(f"{self}: {primary(error)}", f"grant it to {link.info.user}") from error
        except errors.QueryCanceled as error:
            raise Unavailable(f"{self}: cancelled: {primary(error)}", "see what the server does") from error
        except _BROKEN as error:
            raise Unavailable(f"{self}: the database broke off: {primary(error)}", "try again") from error
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            named = error.diag.constraint_name or error.diag.column_name
            said = f"{error.diag.table_name}: {named}: " if error.diag.table_name and named else ""
            raise Rejected(f"{self}: {said}{primary(error)}", "give the column a rule that fits its table") from None
        except psycopg.Error as error:
            raise Invalid(f"{self}: {primary(error)}", "see the message; nothing was changed") from error

    def _connect(self, settings: Mapping[str, str]) -> Link:
        options = [str(self.parts.get("options") or ""), *(f"-c {name}={value}" for name, value in settings.items())]
        lively = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "tcp_user_timeout": 60_000}
        given = {"dbname": self.name, "application_name": "interlock", "client_encoding": "UTF8"}
        try:
            target = make_conninfo(self._dsn, options=" ".join(filter(None, options)), **given, **lively)
            return psycopg.connect(target, autocommit=True)
        except psycopg.OperationalError as error:  # its text can hold a piece of a badly quoted password: not chained
            if refused := _NO_ENTRY.search(str(error)):
                raise Invalid(f"{self}: {refused[1]}", "check the URL, and that the role may connect") from None
            raise Unavailable(f"{self}: the database does not answer", "is it running, and reachable?") from None


def primary(error: psycopg.Error) -> str:
    """Give a server's message without its detail, which may quote a row."""
    return error.diag.message_primary or type(error).__name__
