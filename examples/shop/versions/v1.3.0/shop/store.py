"""What the shop remembers. Columns are always named: a column that a later version adds changes nothing here."""

from shop.database import Database
from shop.goods import Order, Pick, Product, Wish, Wrong, total_cents


class Store:
    """Products and orders."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def products(self) -> list[Product]:
        """List what is for sale."""
        return await self._database.fetch(Product, "select id, name, price_cents, stock from products order by id")

    async def product(self, number: int) -> Product | None:
        """Find one product."""
        found = await self._database.fetch(
            Product, "select id, name, price_cents, stock from products where id = %(id)s", {"id": number}
        )
        return found[0] if found else None

    async def picks(self) -> list[Pick]:
        """List the picks of the week."""
        return await self._database.fetch(Pick, "select product_id, headline from picks")

    async def place(self, wish: Wish) -> Order:
        """Place an order, once per key however often it is sent; raises Wrong when it cannot be."""
        product = await self.product(wish.product_id)
        if product is None:
            raise Wrong(f"product_id: there is no product {wish.product_id}")
        if wish.quantity > product.stock and await self.keyed(wish.key) is None:
            raise Wrong(f"quantity: only {product.stock} left of {product.name}")
        placed = await self._database.fetch(
            Order,
            """insert into orders (key, product_id, quantity, total_cents, channel, note)
               values (%(key)s, %(product_id)s, %(quantity)s, %(total_cents)s, %(channel)s, %(note)s)
               on conflict (key) do nothing
               returning id, key, product_id, quantity, total_cents, channel, note""",
            {**vars(wish), "total_cents": total_cents(product.price_cents, wish.quantity)},
        )
        order = placed[0] if placed else await self.keyed(wish.key)
        if order is None or (order.product_id, order.quantity) != (wish.product_id, wish.quantity):
            raise Wrong(f"key: {wish.key} belongs to another order")
        return order

    async def order(self, number: int) -> Order | None:
        """Find an order by its number."""
        found = await self._database.fetch(
            Order,
            "select id, key, product_id, quantity, total_cents, channel, note from orders where id = %(id)s",
            {"id": number},
        )
        return found[0] if found else None

    async def keyed(self, key: str) -> Order | None:
        """Find an order by the key that its customer gave it."""
        found = await self._database.fetch(
            Order,
            "select id, key, product_id, quantity, total_cents, channel, note from orders where key = %(key)s",
            {"key": key},
        )
        return found[0] if found else None
