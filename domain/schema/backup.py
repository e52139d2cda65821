"""What a backup claims to hold."""

from pydantic import Field

from domain.schema.capture import Layout
from domain.value import Value


class TableDigest(Value):
    """The content of one table, independent of row and column order."""

    rows: int
    sum: str
    xor: str


class Backup(Value):
    """A dump and what must be in it; tables are named schema.table."""

    format: str
    server: str
    fingerprint: str
    tables: dict[str, TableDigest]
    sequences: dict[str, int] = Field(default={}, description="how far each had come at least; 0: it had not begun")
    snapshot: str = Field(default="", description="which transactions it holds, a pg_snapshot; empty: not noted down")
    layouts: dict[str, Layout] = Field(default={}, description="keys and columns of the tables; {}: not noted down")


class StoredBackup(Value):
    """A backup in the store that was restored and compared."""

    key: str
    sha256: str
    backup: Backup
