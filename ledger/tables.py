"""The ledger's tables."""

from sqlalchemy import BigInteger, Index, MetaData, Text
from sqlmodel import Field, SQLModel


class Kept(SQLModel):
    """What all tables of the ledger share: metadata of their own, so that no other tables are created with them."""

    metadata = MetaData()


class JournalRow(Kept, table=True):
    """One fact, chained to the one before it; never changed, never removed."""

    __tablename__ = "journal"
    __table_args__ = (
        Index("journal_of_release", "release", "kind"),
        Index("journal_of_environment", "service", "environment", "token"),
        Index("journal_of_kind", "kind"),
    )

    seq: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    at: str
    actor: str
    release: str
    service: str
    environment: str
    token: int = Field(sa_type=BigInteger)
    kind: str
    body: str = Field(sa_type=Text, description="the fact as canonical JSON; the hash covers these very bytes")
    previous: str = Field(unique=True)
    hash: str = Field(unique=True)


class LeaseRow(Kept, table=True):
    """Who holds an environment now; given back means gone. Tokens live on in the journal, which never forgets one."""

    __tablename__ = "lease"

    service: str = Field(primary_key=True)
    environment: str = Field(primary_key=True)
    token: int = Field(sa_type=BigInteger)
    owner: str
    reason: str
    expires_at: float = Field(description="seconds since the epoch by the database's clock")


class OutboxRow(Kept, table=True):
    """One notice on its way to one group."""

    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_due", "state", "next_at"),)

    key: str = Field(primary_key=True)
    recipients: str = Field(description="the stakeholder group")
    title: str
    body: str = Field(sa_type=Text)
    state: str = Field(default="due", description="due, sent or dead")
    tries: int = 0
    next_at: float = Field(default=0.0, description="not before this time, in seconds since the epoch")
    error: str = Field(default="", sa_type=Text)


class UpgradeRow(Kept, table=True):
    """One step of the ledger's own schema that has been applied."""

    __tablename__ = "upgrade"

    name: str = Field(primary_key=True)


JOURNAL, LEASE, OUTBOX, UPGRADE = (Kept.metadata.tables[name] for name in ("journal", "lease", "outbox", "upgrade"))
