"""What customers of the shop do, as plain data: the mix that demonstrations and benchmarks send."""

from typing import NamedTuple


class Kind(NamedTuple):
    """One kind of request.

    `path` and `body` are `string.Template` texts: `$key` is new for every request, `$product` is drawn from PRODUCTS,
    `$quantity` from QUANTITIES. `weight` is a share in percent; `expected` is the status of a good answer.
    """

    name: str
    method: str
    path: str
    body: str | None
    weight: int
    expected: int


PRODUCTS = range(1, 21)
QUANTITIES = range(1, 4)  # the scarcest product has four in stock
MIX = (
    Kind("list", "GET", "/api/products", None, 55, 200),
    Kind("product", "GET", "/api/products/$product", None, 15, 200),
    Kind("page", "GET", "/", None, 10, 200),
    Kind("order", "POST", "/api/orders", '{"product_id": $product, "quantity": $quantity, "key": "$key"}', 20, 201),
)
