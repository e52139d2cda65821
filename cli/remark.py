"""`interlock remark`: say something about a release; it stands in the record from then on."""

from typing import Annotated

import typer

from adapters.connect import open_house
from cli import options, show
from cli.find import oneself, story_of
from domain.errors import Invalid
from domain.facts import Remarked

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: `interlock remark shop-v1.2.0-3f9c01 'cancelled: the campaign was postponed'`")
def remark(
    release: options.Release,
    text: Annotated[str, typer.Argument(help="What you have to say, in quotes.", show_default=False)],
    myself: options.Myself = "",
) -> None:
    """Say something about a release, such as why it was cancelled.

    It stands in the record under your name, and `interlock explain` tells it.
    """
    house = open_house()
    entries = story_of(house.journal, release)
    if not text.strip():
        raise Invalid("the remark is empty", "say it in quotes after the release")
    person = oneself(myself, house.people)
    house.journal.append(Remarked(text=text), actor=person.name, release=release, service=entries[0].service)
    show.say(f"{person.name} on {release}: {text}")
