"""Which damages to a stored backup are found, by its sha256 and by restoring it, and does an undamaged one pass?"""

import hashlib
import io
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import ValidationError

from adapters import postgres_backup as archive
from adapters.postgres_scratch import scratch
from bench.database.damage import Damaged, Good, corpus, planned
from bench.database.ground import Ground, Shop
from deployments.embedded.postgres import binaries
from domain.errors import Invalid, Rejected
from domain.schema.backup import StoredBackup

Say = Callable[[str], None]

UNDAMAGED = 10
KEY = "backups/shop/bench/r1/000.dump.zst"
_CHANGES = {  # what is done before the other dump is taken, inside what is taken back afterwards
    "a row less": "delete from lines where line = 2 and order_id = 7",
    "a row more": "insert into events (order_id, kind, body, at) values (7, 'paid', '{}', '2026-01-01')",
    "one value changed": "update orders set total_cents = total_cents + 1 where id = 7",
    "two values swapped": """update orders set total_cents = (select sum(total_cents) from orders where id in (7, 8))
      - total_cents where id in (7, 8)""",
    "a table emptied": "truncate events",
    "an index less": "drop index orders_placed_idx",
    "a default less": "alter table customers alter status drop default",
    "a foreign key less": "alter table events drop constraint events_order_id_fkey",
    "another function body": """create or replace function stamp() returns trigger language plpgsql as
      $$ begin new.placed := now(); return new; end $$""",
    "a sequence set back": "select setval('orders_id_seq', 1)",
    "a large object changed": "select lo_put(4711, 0, 'B')",
}


@dataclass(frozen=True)
class Seen:
    """What was found of one damage: by manifest and sha256, by the restore, and, if by neither, what it did."""

    damage: Damaged
    stored: str
    restored: str
    harmless: bool = False

    @property
    def found(self) -> bool:
        """Tell whether anything found it."""
        return bool(self.stored or self.restored)


def measure(ground: Ground, shop: Shop, seed: int, minutes: float, say: Say) -> str:
    """Take backups under load, damage one, and look who notices; begin nothing after so many minutes."""
    began, whole = time.monotonic(), minutes * 60
    say(f"{UNDAMAGED} undamaged backups, taken while rows are written")
    alarms = list(_false_alarms(shop, began + whole / 2))
    say("dumps of other content")
    good = _good(shop, _others(ground, shop, seed, began + whole * 3 / 4))
    truth = content(shop, good.stored)
    if truth != content(shop, good.stored):
        raise Rejected("a dump restored twice reads differently", "nothing can be held against it")
    seen: list[Seen] = []
    wanted = planned(len(_CHANGES) + 1)
    say(f"{wanted} damages")
    for damage in corpus(good, seed):
        if time.monotonic() > began + whole:
            break
        seen.append(_look(shop, damage, truth, good.manifest.backup.fingerprint))
        if not seen[-1].found:
            say(f"not found: {damage.where}: {damage.kind}" + (" (harmless)" if seen[-1].harmless else ""))
    return markdown(seen, wanted, alarms)


def markdown(seen: list[Seen], wanted: int, alarms: list[str]) -> str:
    """Draw the table, one row for each kind."""
    kinds = dict.fromkeys((one.damage.where, one.damage.kind) for one in sorted(seen, key=lambda s: s.damage.where))
    missed = [one for one in seen if not one.found and not one.harmless]
    harmless = sum(one.harmless for one in seen)
    false = [alarm for alarm in alarms if alarm]
    lines = [
        f"Damages: {len(seen)} of {wanted}. In the object: after it was hashed. In the dump: before, so that its "
        "sha256 is right. Harmless: found by nothing, and PostgreSQL's own text dump of the restored copy is the same.",
        *("", "| where | damage | count | by manifest and sha256 | by verify | harmless | missed |"),
        "|---|---|---:|---:|---:|---:|---:|",
        *(_row(kind, [one for one in seen if (one.damage.where, one.damage.kind) == kind]) for kind in kinds),
        _row(("**all**", ""), seen),
        "",
        f"False alarms: {len(false)} of {len(alarms)} undamaged backups ({UNDAMAGED} wanted), "
        "taken while rows were written" + "".join(f"; {reason}" for reason in false) + ".",
        *(f"Missed: {one.damage.where}: {one.damage.kind}." for one in missed),
        "",
        f"Goal, all found: {'missed' if missed else 'kept'} ({len(seen) - harmless - len(missed)} of "
        f"{len(seen) - harmless} that do harm). Goal, no false alarm: {'missed' if false else 'kept'}.",
    ]
    return "\n".join(lines)


def _row(kind: tuple[str, str], seen: list[Seen]) -> str:
    found = Counter(name for one in seen for name in ("stored", "restored") if getattr(one, name))
    harmless, missed = sum(one.harmless for one in seen), sum(not one.found and not one.harmless for one in seen)
    cells = (*kind, len(seen), found["stored"], found["restored"], harmless, missed)
    return "| " + " | ".join(map(str, cells)) + " |"


def read(objects: Mapping[str, bytes], manifest: str, fingerprint: str) -> StoredBackup:
    """Look for a backup as the release does that finds one: manifest, object, sha256, and the database's schema.

    Raises Rejected saying what is wrong. It mirrors tasks/back_up.py, which needs a whole release to be called.
    """
    try:
        stored = StoredBackup.model_validate_json(manifest)
    except ValidationError as error:
        raise Rejected("the manifest cannot be read", "take a new backup") from error
    if stored.key not in objects:
        raise Rejected("there is no such object", "take a new backup")
    if hashlib.sha256(objects[stored.key]).hexdigest() != stored.sha256:
        raise Rejected("the sha256 differs", "take a new backup")
    if stored.backup.fingerprint != fingerprint:
        raise Rejected("the database's schema is another one", "take a new backup")
    return stored


def _look(shop: Shop, damage: Damaged, truth: str, fingerprint: str) -> Seen:
    """Ask both, each by itself; where nothing is found, see whether anything is wrong."""
    stored = restored = ""
    try:
        read({KEY: damage.stored}, damage.manifest, fingerprint)
    except Rejected as error:
        stored = error.message
    try:
        backup = StoredBackup.model_validate_json(damage.manifest).backup
        shop.database.verify(io.BytesIO(damage.stored), backup)
    except ValidationError:
        pass  # nobody gets as far as restoring it
    except (Rejected, Invalid) as error:
        restored = error.message
    harmless = not stored and not restored and damage.where != "manifest" and content(shop, damage.stored) == truth
    return Seen(damage, stored, restored, harmless)


def content(shop: Shop, stored: bytes) -> str:
    """Restore a dump and hash what pg_dump then writes as text: rows, schema, sequences and large objects."""
    with shop.session() as link, scratch(link) as name:
        env = archive.environment(shop.dsn, PGDATABASE=name)
        archive.restore(str(binaries() / "pg_restore"), env, io.BytesIO(stored))
        options = ["--format=plain", "--no-owner", "--no-privileges", "--no-comments", "--restrict-key=bench"]
        done = subprocess.run(
            [str(binaries() / "pg_dump"), *options], env=env, check=False, capture_output=True, timeout=600
        )
    if done.returncode:
        raise Rejected(f"pg_dump failed: {done.stderr.decode()[-500:]}", "see the message")
    return hashlib.sha256(done.stdout).hexdigest()


def _false_alarms(shop: Shop, until: float) -> Iterator[str]:
    """Back up and look while somebody writes; yields what was complained about, empty: nothing."""
    with _writer(shop):
        for _ in range(UNDAMAGED):
            if time.monotonic() > until:
                return
            good = _good(shop, {})
            try:
                read({KEY: good.stored}, good.manifest.model_dump_json(), shop.database.fingerprint())
                shop.database.verify(io.BytesIO(good.stored), good.manifest.backup)
                yield ""
            except Rejected as error:
                yield error.message


@contextmanager
def _writer(shop: Shop) -> Iterator[None]:
    stop = threading.Event()

    def write() -> None:
        with shop.session() as link:
            number = 0
            while not stop.wait(0.005):
                number += 1
                key = 1 + number * 7919 % shop.orders
                link.execute("update orders set total_cents = total_cents + 1 where id = %s", (key,))
                link.execute("insert into events (order_id, kind, body, at) values (%s, 'seen', '{}', now())", (key,))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _good(shop: Shop, others: Mapping[str, bytes]) -> Good:
    into = io.BytesIO()
    backup = shop.database.backup(into)
    stored = into.getvalue()
    return Good(stored, StoredBackup(key=KEY, sha256=hashlib.sha256(stored).hexdigest(), backup=backup), others)


def _others(ground: Ground, shop: Shop, seed: int, until: float) -> dict[str, bytes]:
    """Dump what is nearly the same: a copy of the database, changed; and a database that has nothing to do with it."""
    found = {"another database's dump": _dumped(ground.other(seed + 1))}
    for what, change in _CHANGES.items():
        if time.monotonic() > until:
            break
        with ground.copy(shop) as copy:
            with copy.session() as link:
                link.execute(change.encode())
            found[what] = _dumped(copy)
    return found


def _dumped(shop: Shop) -> bytes:
    into = io.BytesIO()
    shop.database.backup(into)
    return into.getvalue()
