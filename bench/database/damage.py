"""What can happen to a stored backup: every damage a function of the bytes and of a seed, and of nothing else."""

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

import zstandard

from domain.schema.backup import StoredBackup

Hurt = Callable[[random.Random, bytes], bytes]

BLOCK = 4096  # bytes
WORD = 40  # printable bytes on both sides of a bit that is flipped in a row


@dataclass(frozen=True)
class Good:
    """An undamaged backup: the object, its manifest, and dumps of other content by what is different in them."""

    stored: bytes
    manifest: StoredBackup
    others: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def plain(self) -> bytes:
        """Unpack the dump."""
        return zstandard.ZstdDecompressor().decompressobj().decompress(self.stored)


@dataclass(frozen=True)
class Damaged:
    """A backup as it might be found: where the damage is, which, the object and the manifest's text."""

    where: str
    kind: str
    stored: bytes
    manifest: str


def corpus(good: Good, seed: int) -> Iterator[Damaged]:
    """Draw every damage, the kinds taking turns, so that whoever stops early has seen most of them."""
    queues = [_object(good, seed), _dump(good, seed), _replaced(good), _manifest(good, seed)]
    for some in zip_longest(*queues):
        yield from (one for one in some if one)


def planned(others: int) -> int:
    """Count them without drawing them; `others` is how many dumps of other content there are."""
    return sum(count for _, count, _ in _IN_THE_OBJECT + _IN_THE_DUMP) + 2 * others + _EDITS


def pack(plain: bytes) -> bytes:
    """Compress as a backup is."""
    return zstandard.ZstdCompressor(level=1, write_checksum=True).compress(plain)


def flip(rng: random.Random, data: bytes) -> bytes:
    """Flip one bit."""
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def flip_in_a_row(rng: random.Random, plain: bytes) -> bytes:
    """Flip one bit of a letter or digit of a row, so that what comes out is another one: pg_restore cannot tell."""
    while True:
        at = rng.randrange(len(plain) // 4, len(plain))  # the table of contents is in front
        near, changed = plain[max(0, at - WORD) : at + WORD], plain[at] ^ 1 << rng.randrange(5)
        row = b"\t" in near and all(byte in b"\t\n\\" or 32 <= byte < 127 for byte in near)
        if row and plain[at : at + 1].isalnum() and bytes([changed]).isalnum() and plain[at - 1 : at] != b"\\":
            return plain[:at] + bytes([changed]) + plain[at + 1 :]


def overwrite(rng: random.Random, data: bytes) -> bytes:
    """Put noise over one block."""
    at, size = _part(rng, data)
    return data[:at] + rng.randbytes(size) + data[at + size :]


def blank(rng: random.Random, data: bytes) -> bytes:
    """Put zeros over one block, as a file system may after a crash."""
    at, size = _part(rng, data)
    return data[:at] + bytes(size) + data[at + size :]


def swap(rng: random.Random, data: bytes) -> bytes:
    """Exchange two blocks."""
    size = min(BLOCK, len(data) // 4)
    one, other = rng.randrange(len(data) // 2 - size), rng.randrange(len(data) // 2, len(data) - size)
    parts = data[:one], data[other : other + size], data[one + size : other], data[one : one + size]
    return b"".join(parts) + data[other + size :]


def lose(rng: random.Random, data: bytes) -> bytes:
    """Leave out a part."""
    at, size = _part(rng, data)
    return data[:at] + data[at + size :]


def repeat(rng: random.Random, data: bytes) -> bytes:
    """Have a part twice."""
    at, size = _part(rng, data)
    return data[: at + size] + data[at:]


def cut(rng: random.Random, data: bytes) -> bytes:
    """Stop early."""
    return data[: rng.randrange(1, len(data))]


def cut_last(rng: random.Random, data: bytes) -> bytes:
    """Lose the last bytes."""
    return data[: -rng.randrange(1, 9)]


def add_noise(rng: random.Random, data: bytes) -> bytes:
    """Have something behind the end."""
    return data + rng.randbytes(rng.randrange(1, BLOCK))


def add_zeros(rng: random.Random, data: bytes) -> bytes:
    """Have zeros behind the end."""
    return data + bytes(rng.randrange(1, BLOCK))


def add_itself(_rng: random.Random, data: bytes) -> bytes:
    """Be there twice."""
    return data * 2


def empty(_rng: random.Random, _data: bytes) -> bytes:
    """Have nothing left."""
    return b""


_IN_THE_OBJECT: tuple[tuple[str, int, Hurt], ...] = (
    ("a bit flipped", 12, flip),
    ("a block of noise", 4, overwrite),
    ("a block of zeros", 4, blank),
    ("two blocks swapped", 4, swap),
    ("a part missing", 4, lose),
    ("a part twice", 4, repeat),
    ("cut off", 4, cut),
    ("last bytes missing", 2, cut_last),
    ("empty", 1, empty),
    ("noise behind it", 2, add_noise),
    ("zeros behind it", 1, add_zeros),
    ("itself behind it", 1, add_itself),
)
_IN_THE_DUMP: tuple[tuple[str, int, Hurt], ...] = (
    ("a bit flipped in a row", 16, flip_in_a_row),
    ("a bit flipped anywhere", 8, flip),
    ("a bit flipped in its table of contents", 8, lambda rng, plain: flip(rng, plain[:BLOCK]) + plain[BLOCK:]),
    ("two blocks swapped", 3, swap),
    ("a part missing", 3, lose),
    ("a part twice", 3, repeat),
    ("cut off", 3, cut),
    ("last bytes missing", 1, cut_last),
    ("noise behind it", 1, add_noise),
)
_EDITS = 12  # of the manifest


def _object(good: Good, seed: int) -> Iterator[Damaged]:
    """Damage the object after it was stored and hashed."""
    text = good.manifest.model_dump_json()
    for kind, hurt, rng in _turns(_IN_THE_OBJECT, seed, "object"):
        yield Damaged("object", kind, _changed(hurt, rng, good.stored), text)


def _dump(good: Good, seed: int) -> Iterator[Damaged]:
    """Damage the dump before it was packed and hashed: the manifest has the sha256 of what is stored."""
    plain = good.plain
    for kind, hurt, rng in _turns(_IN_THE_DUMP, seed, "dump"):
        yield _hashed("dump", kind, pack(_changed(hurt, rng, plain)), good)


def _replaced(good: Good) -> Iterator[Damaged]:
    """Put a dump of something else in its place: once found by its sha256, once stored and hashed like that."""
    text = good.manifest.model_dump_json()
    for kind, stored in good.others.items():
        yield _hashed("dump", kind, stored, good)
        yield Damaged("object", "another dump", stored, text)


def _manifest(good: Good, seed: int) -> Iterator[Damaged]:
    """Edit the manifest; the object is as it was."""
    rng, text = random.Random(f"{seed} manifest"), good.manifest.model_dump_json()
    table = rng.choice(sorted(good.manifest.backup.tables))
    fingerprint = good.manifest.backup.fingerprint

    def edited(kind: str, edit: Callable[[dict[str, object], dict[str, dict[str, object]]], object]) -> Damaged:
        fields = json.loads(text)
        edit(fields["backup"], fields["backup"]["tables"])
        return Damaged("manifest", kind, good.stored, json.dumps(fields))

    yield edited("rows", lambda _, tables: tables[table].update(rows=rng.randrange(10**9)))
    yield edited("sum", lambda _, tables: tables[table].update(sum=str(rng.randrange(10**18))))
    yield edited("xor", lambda _, tables: tables[table].update(xor=str(rng.randrange(10**18))))
    yield edited("a table left out", lambda _, tables: tables.pop(table))
    yield edited("a table made up", lambda _, tables: tables.update({"public.ghosts": tables[table]}))
    yield edited("the schema's fingerprint", lambda backup, _: backup.update(fingerprint=_digit(fingerprint, 7)))
    yield edited("the grants' fingerprint", lambda backup, _: backup.update(fingerprint=_digit(fingerprint, 60)))
    yield edited("its format", lambda backup, _: backup.update(format="pg_dump custom, gzip"))
    sha256 = good.manifest.sha256
    yield Damaged("manifest", "its sha256", good.stored, text.replace(sha256, _digit(sha256, 3)))
    yield Damaged("manifest", "its key", good.stored, text.replace(good.manifest.key, good.manifest.key + "x"))
    yield Damaged("manifest", "cut off", good.stored, text[: rng.randrange(len(text))])
    yield Damaged("manifest", "empty", good.stored, "")


def _turns(
    kinds: tuple[tuple[str, int, Hurt], ...], seed: int, where: str
) -> Iterator[tuple[str, Hurt, random.Random]]:
    for turn in range(max(count for _, count, _ in kinds)):
        for kind, count, hurt in kinds:
            if turn < count:
                yield kind, hurt, random.Random(f"{seed} {where} {kind} {turn}")


def _changed(hurt: Hurt, rng: random.Random, data: bytes) -> bytes:
    """Damage it until it is another: two blocks of zeros can be swapped for ever."""
    while (found := hurt(rng, data)) == data:
        pass
    return found


def _hashed(where: str, kind: str, stored: bytes, good: Good) -> Damaged:
    manifest = good.manifest.model_copy(update={"sha256": hashlib.sha256(stored).hexdigest()})
    return Damaged(where, kind, stored, manifest.model_dump_json())


def _part(rng: random.Random, data: bytes) -> tuple[int, int]:
    size = min(BLOCK, max(1, len(data) // 4))
    return rng.randrange(len(data) - size), size


def _digit(text: str, at: int) -> str:
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
