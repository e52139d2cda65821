"""What a backup claims to hold."""

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


class StoredBackup(Value):
    """A backup in the store that was restored and compared."""

    key: str
    sha256: str
    backup: Backup
