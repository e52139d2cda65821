"""`interlock orphans`: what is kept in this stack's name and nobody owns, and its removal."""

from collections.abc import Iterable
from typing import Annotated

import typer

from adapters.connect import connect, open_house
from cli import options, show
from cli.find import oneself
from domain.environment.orphans import Orphan
from tasks.clear_away import clear_away
from tasks.find_orphans import find_orphans

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: `interlock orphans shop --remove`")
def orphans(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="One service; left out: the whole stack.", show_default=False)
    ] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Remove them now; the sweep does it every minute.")] = False,
    myself: options.Myself = "",
    yes: options.Yes = False,
    json: options.Json = False,
) -> None:
    """See what nobody owns any more, and remove it.

    Containers, networks, volumes, images that were never published, routes, scratch databases and half-written objects
    that carry this stack's label or name, stand nowhere by the ledger, and belong to no release that is under way.
    """
    house = open_house()
    desks = [connect(name, house) for name in ([service] if service else house.catalog.services)]
    found = _once(it for desk in desks for it in find_orphans(desk, everywhere=not service))
    if not remove or not found:
        _print("orphans", found, json)
        return
    person = oneself(myself, house.people)
    if not yes:
        _print("orphans", found, json=False)
        typer.confirm(f"{person.name}: remove these {len(found)}?", abort=True)
    removed = _once(it for desk in desks for it in clear_away(desk, everywhere=not service, actor=person.name))
    _print("removed", removed, json)
    if left := len(found) - len(removed):
        show.say(f"{left} stay: in use, or in a place that somebody holds", "yellow", show.err)


def _once(found: Iterable[Orphan]) -> list[Orphan]:
    """Leave out what several services found."""
    return list({(it.belonging.kind, it.belonging.id): it for it in found}.values())


def _print(title: str, found: list[Orphan], json: bool) -> None:
    if json:
        show.data({title: found})
        return
    rows = [(it.belonging.kind, it.belonging.name, _age(it.belonging.age), it.reason) for it in found]
    show.table(title, ("kind", "name", "age", "why"), rows, "everything has an owner")


def _age(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min" if seconds else "–"
