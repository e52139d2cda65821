"""The page, as HTML: no scripts, no files, works everywhere."""

from collections.abc import Sequence
from html import escape

from shop.goods import LONGEST_NOTE, MOST, Pick, Product, money
from shop.settings import Settings

FEW = 5  # pieces, from which on the stock is worth a warning
STYLE = """
:root { --ink: #1d2733; --soft: #667486; --line: #e3e8ee; --ground: #f5f7f9; --go: #16794c; --few: #b45309; }
* { box-sizing: border-box; margin: 0 }
body { font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); background: var(--ground) }
header, main, footer { max-width: 72rem; margin: 0 auto; padding: 1.5rem }
header { display: flex; align-items: center; gap: .75rem; flex-wrap: wrap }
h1 { font-size: 1.6rem; letter-spacing: -.02em; margin-right: auto }
h1 small { display: block; font-size: .95rem; font-weight: 400; letter-spacing: 0; color: var(--soft) }
.badge { font-size: .8rem; padding: .2rem .7rem; border-radius: 1rem; border: 1px solid var(--line); background: #fff }
.badge.version { color: #fff; background: var(--ink); border-color: var(--ink) }
.notice { padding: .8rem 1.2rem; margin-bottom: 1.2rem; border-radius: .6rem; background: #e7f6ee; color: var(--go) }
.greeting { margin-bottom: 1.2rem; font-size: 1.2rem }
.shelf { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(15.5rem, 1fr)) }
article { display: flex; flex-direction: column; gap: .5rem; padding: 1rem; background: #fff;
          border: 1px solid var(--line); border-radius: .8rem }
.tile { height: 5rem; border-radius: .5rem; display: grid; place-items: center; color: #fff; font-size: 2rem }
.pick { border-color: var(--few) }
.headline { font-size: .85rem; font-style: italic; color: var(--few) }
h2 { font-size: 1.05rem }
.price { font-weight: 600 }
.stock { font-size: .85rem; color: var(--go) }
.stock.few { color: var(--few) }
form { display: flex; flex-wrap: wrap; gap: .5rem; margin-top: auto }
input, button { font: inherit; padding: .35rem .7rem; border-radius: .5rem; border: 1px solid var(--line) }
input[name=note] { flex: 1 0 100% }
input[type=number] { width: 4.5rem }
button { flex: 1; color: #fff; background: var(--go); border-color: var(--go); cursor: pointer }
button:hover { filter: brightness(1.1) }
footer { color: var(--soft); font-size: .85rem }
"""


def render(settings: Settings, products: Sequence[Product], picks: Sequence[Pick], key: str, notice: str = "") -> str:
    """Draw the page; `key` is new each time, and marks every order that is sent from it."""
    headlines = {pick.product_id: pick.headline for pick in picks}
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Signal &amp; Points</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>Signal &amp; Points <small>Things for people who like trains</small></h1>
<span class="badge">{escape(settings.environment)}</span>
<span class="badge version">{escape(settings.version)}</span>
</header>
<main>
{f'<p class="notice" role="status">{escape(notice)}</p>' if notice else ""}
{f'<p class="greeting">{escape(settings.greeting)}</p>' if settings.greeting else ""}
<section class="shelf">
{"".join(_card(product, headlines.get(product.id, ""), key) for product in products)}
</section>
</main>
<footer>{len(products)} products · five pieces of one thing cost 5 % less, ten 10 %</footer>
</body>
</html>
"""


def _card(product: Product, headline: str, key: str) -> str:
    hue = product.id * 47 % 360
    return f"""<article{' class="pick"' if headline else ""}>
<div class="tile" style="background: hsl({hue} 42% 46%)" aria-hidden="true">{escape(product.name[0])}</div>
<h2>{escape(product.name)}</h2>
{f'<p class="headline">{escape(headline)}</p>' if headline else ""}
<p><span class="price">{money(product.price_cents)}</span> · {_stock(product.stock)}</p>
<form method="post" action="/orders">
<input type="hidden" name="key" value="{key}-{product.id}">
<input type="hidden" name="product_id" value="{product.id}">
<input name="note" maxlength="{LONGEST_NOTE}" placeholder="Note for packing" aria-label="Note">
<input type="number" name="quantity" value="1" min="1" max="{min(MOST, product.stock)}" aria-label="Quantity">
<button>Order</button>
</form>
</article>
"""


def _stock(pieces: int) -> str:
    if pieces <= FEW:
        return f'<span class="stock few">{pieces} left</span>'
    return f'<span class="stock">{pieces} in stock</span>'
