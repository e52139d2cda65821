"""What is sold, for how much, and what a customer may ask for. Nothing here touches the world."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MOST = 10  # pieces in one order
LONGEST_NOTE = 200  # characters
_KEY = re.compile(r"[\w.:-]{1,80}", re.ASCII)


class Wrong(ValueError):
    """The customer asked for something that the shop does not do; the text tells them what."""


@dataclass(frozen=True)
class Product:
    """One kind of thing; `stock` is what the warehouse counted last."""

    id: int
    name: str
    price_cents: int
    stock: int

    def public(self) -> dict[str, Any]:
        """Show it as the API does."""
        return {
            "id": self.id,
            "name": self.name,
            "price": money(self.price_cents),
            "price_cents": self.price_cents,
            "stock": self.stock,
        }


@dataclass(frozen=True)
class Pick:
    """A product that deserves a second look this week."""

    product_id: int
    headline: str


@dataclass(frozen=True)
class Wish:
    """What a customer asks for; the key makes asking twice the same as asking once."""

    product_id: int
    quantity: int
    key: str
    channel: str
    note: str | None = None

    @classmethod
    def read(cls, data: object, channel: str) -> "Wish":
        """Check what came in; raises Wrong. Fields that the shop does not know are left alone."""
        if not isinstance(data, dict):
            raise Wrong("send an object with product_id, quantity and key")
        product_id, quantity, key = (data.get(field) for field in ("product_id", "quantity", "key"))
        if type(product_id) is not int or product_id < 1:
            raise Wrong("product_id: must be the number of a product")
        if type(quantity) is not int or not 1 <= quantity <= MOST:
            raise Wrong(f"quantity: must be a number from 1 to {MOST}")
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise Wrong("key: must be 1 to 80 letters, digits or any of . : _ -")
        note = data.get("note") or ""
        if not isinstance(note, str) or len(note) > LONGEST_NOTE or "\0" in note:
            raise Wrong(f"note: must be text of at most {LONGEST_NOTE} characters")
        return cls(product_id, quantity, key, channel, note.strip() or None)


@dataclass(frozen=True)
class Order:
    """An order as it was placed."""

    id: int
    key: str
    product_id: int
    quantity: int
    total_cents: int
    channel: str
    note: str | None = None

    def public(self) -> dict[str, Any]:
        """Show it as the API does."""
        return {
            "id": self.id,
            "key": self.key,
            "product_id": self.product_id,
            "quantity": self.quantity,
            "total": money(self.total_cents),
            "total_cents": self.total_cents,
            "channel": self.channel,
            "note": self.note,
        }


def total_cents(price_cents: int, quantity: int) -> int:
    """Price an order: 5 % off from five pieces, 10 % off from ten; half a cent is rounded up."""
    off = 10 if quantity >= 10 else 5 if quantity >= 5 else 0
    return (price_cents * quantity * (100 - off) + 50) // 100


def worth_cents(shelf: Iterable[Product]) -> int:
    """Add up what everything in stock would cost."""
    return sum(product.price_cents * product.stock for product in shelf)


def money(cents: int) -> str:
    """Write cents as people read them: `1,234.50 €`."""
    return f"{cents // 100:,}.{cents % 100:02d} €"
