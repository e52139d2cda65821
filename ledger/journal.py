"""The journal in SQL: append a fact to the chain, read facts back."""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError
from sqlalchemy import Connection, insert, select

from domain.chain import GENESIS, Checkpoint, body_of, entry_hash
from domain.errors import Invalid
from domain.facts import FACT, Entered, Entry, Fact
from domain.lease import Lease, carrier_of, insist_current
from domain.release.state import insist_legal
from ledger.open import Ledger
from ledger.tables import JOURNAL, LEASE, JournalRow

_PAGE = 2000


class SqlJournal:
    """The Journal port on a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def append(
        self,
        fact: Fact,
        *,
        actor: str,
        release: str,
        service: str,
        environment: str = "",
        token: int = 0,
        carrier: int = 0,
    ) -> Entry:
        """Write one fact; see the port."""
        with self._ledger.writing() as connection:
            if token:
                insist_current(current(connection, self._ledger, service, environment), service, environment, token)
            if carrier:
                what = carrier_of(release)
                insist_current(current(connection, self._ledger, service, what), service, what, carrier)
            if isinstance(fact, Entered):
                insist_legal(_entered(connection, release), fact)
            return write(connection, self._ledger, fact, actor, release, service, environment, token)

    def entries(
        self,
        *,
        release: str | None = None,
        service: str | None = None,
        environment: str | None = None,
        kinds: Sequence[str] = (),
        after: int = 0,
    ) -> tuple[Entry, ...]:
        """Read entries in order; every filter that is given must match (no kinds: every kind)."""
        wanted = {"release": release, "service": service, "environment": environment}
        query = select(JOURNAL).where(JOURNAL.c.seq > after).order_by(JOURNAL.c.seq)
        query = query.where(*(JOURNAL.c[name] == value for name, value in wanted.items() if value is not None))
        if kinds:
            query = query.where(JOURNAL.c.kind.in_(kinds))
        with self._ledger.reading() as connection:
            rows = connection.execute(query).all()
        return tuple(_entry(JournalRow(**row._mapping)) for row in rows)

    def rows(self, after: int = 0) -> Iterator[JournalRow]:
        """Read the rows as they are stored, for `verify` and for evidence; a page at a time, in order."""
        page = select(JOURNAL).order_by(JOURNAL.c.seq).limit(_PAGE)
        while True:
            with self._ledger.reading() as connection:
                rows = connection.execute(page.where(JOURNAL.c.seq > after)).all()
            yield from (JournalRow(**row._mapping) for row in rows)
            if len(rows) < _PAGE:
                return
            after = rows[-1].seq

    def checkpoint(self) -> Checkpoint | None:
        """Take a checkpoint of the newest row; None while the journal is empty."""
        newest = select(JOURNAL.c.seq, JOURNAL.c.hash, JOURNAL.c.at).order_by(JOURNAL.c.seq.desc()).limit(1)
        with self._ledger.reading() as connection:
            row = connection.execute(newest).first()
        return Checkpoint(**row._mapping) if row else None


def write(
    connection: Connection,
    ledger: Ledger,
    fact: Fact,
    actor: str,
    release: str,
    service: str,
    environment: str,
    token: int,
) -> Entry:
    """Chain one fact to the last row, unchecked; the caller is the ledger's only writer just now, and commits."""
    body = body_of(fact)
    last = select(JOURNAL).order_by(JOURNAL.c.seq.desc()).limit(1).subquery()
    at, seq, previous = connection.execute(
        select(ledger.stamp, select(last.c.seq).scalar_subquery(), select(last.c.hash).scalar_subquery())
    ).one()
    row = JournalRow(
        seq=(seq or 0) + 1,
        at=at,
        actor=actor,
        release=release,
        service=service,
        environment=environment,
        token=token,
        kind=fact.kind,
        body=body,
        previous=previous or GENESIS,
        hash="",
    )
    row.hash = entry_hash(row)
    connection.execute(insert(JOURNAL), row.model_dump())
    return _entry(row)


def current(connection: Connection, ledger: Ledger, service: str, environment: str) -> Lease | None:
    """Read who holds an environment, expired or not; None when nobody does."""
    found = select(
        LEASE.c.service,
        LEASE.c.environment,
        LEASE.c.token,
        LEASE.c.owner,
        LEASE.c.reason,
        (LEASE.c.expires_at - ledger.now).label("expires_in"),
    ).where(LEASE.c.service == service, LEASE.c.environment == environment)
    row = connection.execute(found).first()
    return Lease(**row._mapping) if row else None


def _entered(connection: Connection, release: str) -> list[Fact]:
    past = select(JOURNAL.c.body).where(JOURNAL.c.release == release, JOURNAL.c.kind == "entered")
    return [FACT.validate_json(body) for body in connection.scalars(past.order_by(JOURNAL.c.seq))]


def _entry(row: JournalRow) -> Entry:
    try:
        fact = FACT.validate_json(row.body)
    except ValidationError as error:
        raise Invalid(
            f"row {row.seq} of the journal is no fact that this version knows: {error.errors()[0]['msg']}",
            "verify the journal; was it written by another version of Interlock?",
        ) from error
    return Entry(fact=fact, **row.model_dump(exclude={"kind", "body"}))
