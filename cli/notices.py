"""`interlock notices`: messages that wait, messages that were given up."""

from typing import Annotated

import typer

from adapters import connect
from adapters.system_clock import SystemClock
from cli import options, show
from domain.post import Notice

app = typer.Typer(add_completion=False)
EVER = float("inf")


@app.command(epilog="Example: `interlock notices --retry`")
def notices(
    retry: Annotated[bool, typer.Option("--retry", help="Deliver what is due before showing the rest.")] = False,
    json: options.Json = False,
) -> None:
    """See messages that wait or were given up, and deliver what is due."""
    house = connect.open_house()
    if retry:
        sent = house.post.deliver(connect.notices(house), SystemClock().now())
        if not json:
            show.say(f"{sent} delivered")
    due, dead = house.post.due(EVER), house.post.dead()
    if json:
        show.data({"due": due, "dead": dead})
        return
    columns = ("to", "title", "tries", "last error", "key")
    show.table("on their way", columns, map(row, due), "on their way: none")
    show.table("given up", columns, map(row, dead), "given up: none")


def row(notice: Notice) -> tuple[str, ...]:
    """Show one notice on a line."""
    return notice.group, notice.title, str(notice.tries), notice.error.partition("\n")[0], notice.key
