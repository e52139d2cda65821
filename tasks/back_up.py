"""Take a backup that is one: stored, read back, restored and compared."""

import hashlib
from contextlib import suppress

from pydantic import ValidationError

from domain.errors import Invalid
from domain.ports import Database, Store
from domain.release.outcomes import BackedUp
from domain.release.plan import Stage
from domain.schema.backup import StoredBackup
from tasks.dump import Dump
from tasks.step import Warrant, step

_CHUNK = 1 << 20  # bytes
_MANIFEST = ".json"


def already_stored(warrant: Warrant, stage: Stage, database: Database | None, store: Store) -> BackedUp | None:
    """Find the backup that an interrupted run completed, while the schema is still the one it was taken of.

    Its manifest was written last, after the restored copy was compared; the dump must still have its sha256. A dump
    without a manifest is of no use: what must be in it was known to the process that died, so another one is taken.
    """
    if database is None or not stage.schema_steps:
        return None
    for key in sorted(store.keys(_folder(warrant, stage)), reverse=True):
        if key.endswith(_MANIFEST):
            stored = _manifest(key, store)
            if stored and _is_whole(stored, store) and stored.backup.fingerprint == database.fingerprint():
                return BackedUp(stored=stored)
    return None


def _manifest(key: str, store: Store) -> StoredBackup | None:
    """Read a manifest; None for one that somebody damaged: another backup is taken."""
    with store.open(key) as manifest, suppress(ValidationError):
        return StoredBackup.model_validate_json(manifest.read())
    return None


@step(BackedUp, observe=already_stored, timeout=3600)
def back_up(warrant: Warrant, stage: Stage, database: Database | None, store: Store) -> BackedUp:
    """Back up before the schema changes; nothing to do where it does not.

    Raises Rejected when the restored copy differs, Unavailable when the store is full.
    """
    if database is None or not stage.schema_steps:
        return BackedUp(stored=None)
    folder = _folder(warrant, stage)
    name = f"{folder}{len(list(store.keys(folder))):03d}"  # objects are written once: every attempt has its own
    dump = Dump(database)
    checksum = store.put(f"{name}.dump.zst", dump.chunks())
    backup = dump.backup()
    with store.open(f"{name}.dump.zst") as stored:
        database.verify(stored, backup)
    kept = StoredBackup(key=f"{name}.dump.zst", sha256=checksum, backup=backup)
    store.put(f"{name}{_MANIFEST}", [kept.model_dump_json().encode()])
    return BackedUp(stored=kept)


def _folder(warrant: Warrant, stage: Stage) -> str:
    return f"backups/{warrant.service}/{stage.environment}/{warrant.release}/"


def _is_whole(stored: StoredBackup, store: Store) -> bool:
    try:
        with store.open(stored.key) as dump:
            hashed = hashlib.sha256()
            while chunk := dump.read(_CHUNK):
                hashed.update(chunk)
            return hashed.hexdigest() == stored.sha256
    except Invalid:
        return False  # somebody removed it
