"""What a value becomes: the definition, which the SQL of adapters/postgres_mask.py must agree with, value by value."""

import hashlib
import hmac
import uuid

from domain.data.rule import Card, Choice, Email, Number, PersonName, Phone, Pseudonym, Shift, Text, Uuid

ONSETS = "Bel", "Cor", "Dar", "Fen", "Gal", "Hol", "Jor", "Kel", "Lum", "Mar", "Nor", "Pel", "Quin", "Ros", "Sel", "Tav"
ENDINGS = (
    *("adan", "amira", "anto", "edra", "elin", "enko", "eris", "ilva"),
    *("imon", "ione", "odan", "oline", "orin", "ovic", "unda", "uri"),
)
CARD, PHONE = "999999", "+999"
SHORTEST_KEY = 32  # characters

_BLOCK = 64  # bytes: SHA-256's
_UNBOUNDED = {"int2": (1, 2**14), "int4": (1, 2**30)}


def pads(key: str) -> tuple[bytes, bytes]:
    """Give the outer and inner pad of HMAC-SHA256: with them, two plain SHA-256 make one HMAC (RFC 2104)."""
    block = key.encode() if len(key.encode()) <= _BLOCK else hashlib.sha256(key.encode()).digest()
    block = block.ljust(_BLOCK, b"\0")
    return bytes(byte ^ 0x5C for byte in block), bytes(byte ^ 0x36 for byte in block)


def pseudonym(rule: Pseudonym, key: str, value: str, base: str = "text") -> str:
    """Compute what a value, written as text, becomes in a column of a base type, written as text."""
    digest = hmac.digest(key.encode(), f"{rule.domain}/{value}".encode(), "sha256")
    digits = digest.hex()
    match rule:
        case Email(bits=bits, at=at):
            made = f"u{digits[: bits // 4]}@{at}"
        case PersonName(form=form):
            given, family = _word(digest[0], digest[1]), _word(digest[2], digest[3])
            made = {"full": f"{given} {family}", "given": given, "family": family}[form]
        case Phone():
            made = f"{PHONE}{_number(digits) % 10**12:012}"
        case Card(luhn=luhn):
            payload = f"{CARD}{_number(digits) % 10**9:09}"
            made = f"{payload}{(check_digit(payload) + (luhn == 'fails')) % 10}"
        case Text(bits=bits, prefix=prefix):
            made = prefix + digits[: bits // 4]
        case Uuid():
            made = str(uuid.UUID(digits[:32]))
        case Number():
            low, high = bounds_of(rule, base) or (None, 0)
            whole = int.from_bytes(digest[:8], signed=True)
            made = str(whole if low is None else low + _number(digits) % (high - low + 1))
        case Choice(values=values):
            made = values[_number(digits) % len(values)]
    return made


def days(rule: Shift, key: str, value: str) -> int:
    """Compute by how many days a date moves, from the value that it goes by."""
    digest = hmac.digest(key.encode(), f"{rule.domain}/{value}".encode(), "sha256")
    return _number(digest.hex()) % (2 * rule.days + 1) - rule.days


def bounds_of(rule: Number, base: str) -> tuple[int, int] | None:
    """Give the lowest and highest number that may come out; None: any of 64 bits."""
    if rule.at_least is not None and rule.at_most is not None:
        return rule.at_least, rule.at_most
    return _UNBOUNDED.get(base)


def check_digit(payload: str) -> int:
    """Compute the digit after which a number passes Luhn's check (ISO/IEC 7812-1)."""
    doubled = (int(digit) * 2 if at % 2 == 0 else int(digit) for at, digit in enumerate(reversed(payload)))
    return -sum(digit - 9 if digit > 9 else digit for digit in doubled) % 10


def _number(digits: str) -> int:
    return int(digits[:15], 16)  # 60 bits: what a signed bigint holds without a sign


def _word(first: int, second: int) -> str:
    return ONSETS[first % 16] + ENDINGS[second % 16]
