"""The page and the API."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl
from uuid import uuid4

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from shop.database import Database, Unavailable
from shop.goods import Wish, Wrong
from shop.page import render
from shop.settings import Settings
from shop.store import Store

log = logging.getLogger("shop")


class Shop:
    """One method per request."""

    def __init__(self, settings: Settings, store: Store, pulse: Database) -> None:
        self.settings = settings
        self.store = store
        self.pulse = pulse

    async def page(self, request: Request) -> Response:
        """Show everything for sale."""
        ordered = request.query_params.get("ordered", "")
        return await self._page(
            notice=f"Thank you! Your order has the number {ordered}." if ordered.isdecimal() else ""
        )

    async def order_from_page(self, request: Request) -> Response:
        """Take the form of the page; a reload or a second click places nothing twice."""
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        numbers = {field: int(form[field]) for field in ("product_id", "quantity") if form.get(field, "").isdecimal()}
        try:
            order = await self.store.place(Wish.read({**form, **numbers}))
        except Wrong as wrong:
            return await self._page(notice=str(wrong), status=422)
        return RedirectResponse(f"/?ordered={order.id}", status_code=303)

    async def health(self, _: Request) -> Response:
        """Answer 200 when the database does."""
        await self.pulse.fetch(dict, "select 1 as alive")
        return JSONResponse({"status": "ok", "version": self.settings.version})

    async def products(self, _: Request) -> Response:
        """List what is for sale."""
        return JSONResponse({"products": [product.public() for product in await self.store.products()]})

    async def product(self, request: Request) -> Response:
        """Show one product."""
        if (product := await self.store.product(request.path_params["id"])) is None:
            raise HTTPException(404, "there is no such product")
        return JSONResponse(product.public())

    async def place(self, request: Request) -> Response:
        """Place an order; the same key gives the same answer."""
        try:
            data = await request.json()
        except ValueError as error:
            raise Wrong("the body is not JSON") from error
        order = await self.store.place(Wish.read(data))
        return JSONResponse({"id": order.id}, status_code=201, headers={"location": f"/api/orders/{order.id}"})

    async def order(self, request: Request) -> Response:
        """Show an order, by number or by `?key=`."""
        number = request.path_params.get("id")
        order = await (
            self.store.keyed(request.query_params.get("key", "")) if number is None else self.store.order(number)
        )
        if order is None:
            raise HTTPException(404, "there is no such order")
        return JSONResponse(order.public())

    async def _page(self, notice: str, status: int = 200) -> Response:
        products, picks = await self.store.products(), await self.store.picks()
        html = render(self.settings, products, picks, key=uuid4().hex, notice=notice)
        return HTMLResponse(html, status_code=status, headers={"cache-control": "no-store"})


def application(settings: Settings) -> Starlette:
    """Put the shop together; connections are opened when the first request needs them."""
    database = Database(settings.conninfo)
    pulse = Database(settings.conninfo, size=1)  # health waits behind nobody: a busy shop is not a dead one
    shop = Shop(settings, Store(database), pulse)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        about = {"version": settings.version, "environment": settings.environment, "port": settings.port}
        logging.getLogger("shop.start").info("the shop is open", extra={"fields": about})
        yield
        await database.close()
        await pulse.close()

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", shop.page),
            Route("/orders", shop.order_from_page, methods=["POST"]),
            Route("/healthz", shop.health),
            Route("/api/products", shop.products),
            Route("/api/products/{id:int}", shop.product),
            Route("/api/orders", shop.place, methods=["POST"]),
            Route("/api/orders", shop.order),
            Route("/api/orders/{id:int}", shop.order),
        ],
        exception_handlers={HTTPException: _sorry},
        # A handler for Exception goes here and not above: there, Starlette answers and then raises all the same, upon
        # which uvicorn cuts the connection, and the next request on it is lost.
        middleware=[Middleware(ExceptionMiddleware, handlers={Exception: _sorry})],
    )


async def _sorry(request: Request, error: Exception) -> Response:
    about = {"method": request.method, "path": request.url.path}
    headers = None
    match error:
        case Wrong():
            status, text = 422, str(error)
        case HTTPException():
            status, text, headers = error.status_code, error.detail, error.headers
        case Unavailable():
            status, text = 503, "the database does not answer; try again"
            log.warning("no database: %s", error, extra={"fields": about})
        case _:
            status, text = 500, "that is our fault; it is in the log"
            log.error("a request failed", exc_info=error, extra={"fields": about})
    return JSONResponse({"error": text}, status_code=status, headers=headers)
