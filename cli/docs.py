"""`interlock docs`: the pages of docs/ that the code writes itself."""

import typer
from typer.cli import get_docs_for_click
from typer.core import TyperGroup

from cli import app as command_line
from cli import show
from config import reference
from config.settings import HOUSE
from domain.schema.rules import RULES

app = typer.Typer(add_completion=False)
_NOTE = "<!-- Written by `make docs` from the help of every command. Edit that. -->"


@app.command(epilog="Example: `interlock docs`")
def docs() -> None:
    """Write the generated pages of docs/ again.

    They are cli.md, from the help of every command, configuration.md, from reference.yaml and the models, and in
    database.md the rules of the schema lint.
    """
    folder = HOUSE / "docs"
    (folder / "cli.md").write_text(render(), encoding="utf-8")
    reference.write(folder / "configuration.md")
    database = folder / "database.md"
    database.write_text(with_rules(database.read_text(encoding="utf-8")), encoding="utf-8")
    show.say("\n".join(f"{folder}/{page}.md" for page in ("cli", "configuration", "database")))


def with_rules(page: str) -> str:
    """Put the rules of the schema lint between their two marks."""
    head, _, rest = page.partition("<!-- rules")
    mark, _, rest = rest.partition("\n")
    rows = (f"| `{name}` | {rule.severity} | {rule.happens} | {rule.instead} |" for name, rule in RULES.items())
    table = "\n".join(["| rule | is | what happens to users | what to write instead |", "|---|---|---|---|", *rows])
    return f"{head}<!-- rules{mark}\n{table}\n<!-- end{rest.partition('<!-- end')[2]}"


def render() -> str:
    """Write the page of the command line: every command with its arguments, options and an example."""
    root = typer.main.get_command(command_line.app)
    shown = {name: command_line.load(name) for name, word in command_line.WORDS.items() if not word.hidden}
    full = TyperGroup(name="interlock", help=root.help, epilog=root.epilog, params=root.params, commands=shown)
    page = get_docs_for_click(obj=full, ctx=typer.Context(full), name="interlock", title="The command line")
    return f"{_NOTE}\n\n{page.rstrip()}\n"
