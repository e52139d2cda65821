"""`interlock docs`: the pages of docs/ that the code writes itself."""

import typer
from typer.cli import get_docs_for_click
from typer.core import TyperGroup

from cli import app as command_line
from cli import show
from config import reference
from config.settings import HOUSE

app = typer.Typer(add_completion=False)
_NOTE = "<!-- Written by `make docs` from the help of every command. Edit that. -->"


@app.command(epilog="Example: `interlock docs`")
def docs() -> None:
    """Write the generated pages of docs/ again.

    They are cli.md, from the help of every command, and configuration.md, from reference.yaml and the models.
    """
    folder = HOUSE / "docs"
    (folder / "cli.md").write_text(render(), encoding="utf-8")
    reference.write(folder / "configuration.md")
    show.say(f"{folder}/cli.md\n{folder}/configuration.md")


def render() -> str:
    """Write the page of the command line: every command with its arguments, options and an example."""
    root = typer.main.get_command(command_line.app)
    shown = {name: command_line.load(name) for name, word in command_line.WORDS.items() if not word.hidden}
    full = TyperGroup(name="interlock", help=root.help, epilog=root.epilog, params=root.params, commands=shown)
    page = get_docs_for_click(obj=full, ctx=typer.Context(full), name="interlock", title="The command line")
    return f"{_NOTE}\n\n{page.rstrip()}\n"
