"""A KPI counted by a query on the service's own PostgreSQL database."""

from contextlib import suppress
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import make_conninfo

from domain.canary.roster import Place, Roster
from domain.canary.tick import Cell, Tick
from domain.errors import Invalid, Unavailable
from domain.ports import Secrets

_PATIENCE = 2.0  # seconds for the query; it runs again and again on a database that has other work
_ROWS = 1000
_GONE = (psycopg.OperationalError, psycopg.InterfaceError)


class SqlKpi:
    """A query that gives (who, total) rows: the running total of what each version, release, slot or replica did.

    Only what a row says of its own origin attributes it soundly. Both arms write into the same tables at the same time,
    so neither the time of a row nor the version that was "live" says whose it is. The service must write down who it
    is, such as INTERLOCK_RELEASE from its environment, with each row; what a job does later for either arm is the
    job's. Rows of others, and of nobody (null), are left out. Replica "" stands for the arm.

    The query is one statement in a read-only transaction with a time-out of two seconds.
    """

    def __init__(self, name: str, query: str, dsn_reference: str, secrets: Secrets, roster: Roster) -> None:
        self._name = name
        self._query = query.encode()
        self._reference = dsn_reference
        self._secrets = secrets
        self._roster = roster
        self._link: psycopg.Connection[tuple[Any, ...]] | None = None
        self._totals: dict[str, int] | None = None

    def news(self, _now: float) -> Tick:
        """Count what the totals rose by. A total that fell, because rows were deleted, is told and counted from there.

        Raises Invalid when the query cannot be run or read, Unavailable when the database does not answer.
        """
        totals = self._read()
        before, self._totals = self._totals if self._totals is not None else totals, totals
        places = {who: place for who in totals if (place := self._place(who))}
        missing = (
            [] if places or not totals else [f"{self._name}: no row names a version, release or slot on the route"]
        )
        risen: dict[Place, int] = {}
        for who, place in places.items():
            rise = totals[who] - before.get(who, 0)
            if rise < 0:
                missing.append(f"{self._name}: the total of {who} fell by {-rise}")
            risen[place] = risen.get(place, 0) + max(rise, 0)
        cells = (
            Cell(arm=arm, replica=replica, requests=0, bad=0, kpi={self._name: count})
            for (arm, replica), count in risen.items()
            if count
        )
        return Tick(second=0, cells=tuple(cells), missing="; ".join(missing))

    def close(self) -> None:
        """Hang up."""
        if self._link:
            self._link.close()
            self._link = None

    def _place(self, who: str) -> Place | None:
        arm = self._roster.arm(who)
        return (arm, "") if arm else self._roster.place(None, who)

    def _read(self) -> dict[str, int]:
        try:
            rows = self._rows()
        except errors.QueryCanceled as error:
            self.close()
            raise Unavailable(
                f"kpi {self._name}: no answer within {_PATIENCE:g} s", "an index, or a longer `every`, may help"
            ) from error
        except _GONE:  # its text can hold a piece of the connection string: not chained
            self.close()
            raise Unavailable(f"kpi {self._name}: {self._reference}: the database does not answer") from None
        except psycopg.Error as error:
            self.close()
            said = error.diag.message_primary or type(error).__name__
            raise Invalid(
                f"kpi {self._name}: {said}", "the query should be one select that gives (who, total)"
            ) from error
        return self._totals_in(rows)

    def _rows(self) -> list[tuple[Any, ...]]:
        if self._link is None:
            target = make_conninfo(
                self._secrets.resolve(self._reference), application_name="interlock-kpi", connect_timeout=5
            )
            self._link = psycopg.connect(target)
            self._link.read_only = True
        with self._link.transaction():
            self._link.execute("select set_config('statement_timeout', %s, true)", (f"{_PATIENCE * 1000:.0f}ms",))
            # prepared: the server takes one statement only, so none can end the read-only transaction before another
            found = self._link.execute(self._query, prepare=True)
            return found.fetchmany(_ROWS + 1) if found.description else []

    def _totals_in(self, rows: list[tuple[Any, ...]]) -> dict[str, int]:
        totals: dict[str, int] = {}
        with suppress(TypeError, ValueError, ArithmeticError):
            for who, total in rows:
                if who is not None:
                    totals[str(who)] = totals.get(str(who), 0) + _whole(total)
            if len(rows) <= _ROWS:
                return totals
        raise Invalid(
            f"kpi {self._name}: the query should give up to {_ROWS} rows of (who, total)", "count, and group by who"
        )


def _whole(total: Any) -> int:
    """Read a whole number, also as numeric. Raises ValueError or TypeError for anything else."""
    if isinstance(total, str | bool) or int(total) != total or total < 0:
        raise ValueError(total)
    return int(total)
