"""The `interlock` command: the same verbs as on the Prefect pages, for engineers, scripts and CI."""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from cli.show import complain
from domain.errors import ReleaseError


class Word(NamedTuple):
    """A command in the list: where it is written, under which heading it stands, and what it does in one line."""

    module: str
    panel: str
    says: str
    hidden: bool = False


_RELEASE, _LOOK, _TEND = "Release", "Look", "Tend"
WORDS: Mapping[str, Word] = {
    "plan": Word("plan", _RELEASE, "Show everything a release would do, and why it may"),
    "release": Word("release", _RELEASE, "Bring a commit to its last environment, and follow it there"),
    "approve": Word("approve", _RELEASE, "Sign your decision on what waits for people"),
    "rollback": Word("rollback", _RELEASE, "Put an environment back to what served before"),
    "reconcile": Word("reconcile", _RELEASE, "Hold the ledger against the world, and bring the world back"),
    "drill": Word("drill", _RELEASE, "Walk the way back of what serves, on a copy of its database"),
    "status": Word("status", _LOOK, "Show what serves where, what is under way, and who must act"),
    "explain": Word("explain", _LOOK, "Tell what happened to a release, and why"),
    "replay": Word("replay", _LOOK, "Reproduce every verdict of the judge from the looks in the journal, bit for bit"),
    "remark": Word("remark", _LOOK, "Say something about a release, such as why it was cancelled"),
    "judge": Word("judge", _LOOK, "Judge a canary from a stream of ticks"),
    "environments": Word("environments", _LOOK, "Compare the environments: size, strictness, who approves"),
    "env": Word("environments", _LOOK, "The same as `environments`", hidden=True),
    "config": Word("config", _TEND, "Check, show and describe the configuration"),
    "schema": Word("schema", _LOOK, "Lint, prove, apply and take back migrations"),
    "data": Word("data", _TEND, "Copy a database without what is private in it"),
    "lease": Word("lease", _TEND, "See who holds an environment, and free a dead one"),
    "backups": Word("backups", _TEND, "See which backups are kept and why, hold one, and let go of what nothing needs"),
    "orphans": Word("orphans", _TEND, "See what nobody owns any more, and remove it"),
    "notices": Word("notices", _TEND, "See messages that wait or were given up, and deliver what is due"),
    "verify": Word("verify", _TEND, "Prove that nobody rewrote the journal"),
    "docs": Word("docs", _TEND, "Write the generated pages of docs/ again", hidden=True),
}


class Later(TyperCommand):
    """Stands in the list for a command until somebody calls it.

    Prefect takes two seconds to import, and Docker, S3 and SQL half a second each. Only the module of the command that
    was typed is imported, so that `interlock --help` and completion answer at once.
    """

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Hand over to the real command."""
        assert self.name is not None  # every word has one
        return load(self.name).make_context(info_name, args, parent, **extra)


class Commands(TyperGroup):
    """The list of commands, and the one place where errors become words and exit codes."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, word in WORDS.items():
            self.add_command(Later(name=name, help=word.says, hidden=word.hidden, rich_help_panel=word.panel))

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; exits 0 when it worked, 1 when it failed, 2 when the request was invalid, 3 when it was refused."""
        try:
            return super().main(*args, **kwargs)
        except ReleaseError as error:
            complain(error)
            sys.exit(error.exit_code)
        except Exception as error:  # the last line of defence: a person gets a sentence, a developer the trace
            if os.environ.get("INTERLOCK_DEBUG"):
                raise
            said = " ".join(str(error).split())
            complain(ReleaseError(f"{type(error).__name__}: {said}", "INTERLOCK_DEBUG=1 shows where; please report it"))
            sys.exit(1)


def load(name: str) -> Any:
    """Import the module of a command and return the command, a typer group or a single one."""
    command = typer.main.get_command(import_module(f"cli.{WORDS[name].module}").app)
    command.name, command.short_help = name, WORDS[name].says
    return command


app = typer.Typer(name="interlock", cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        print(version("interlock"))
        raise typer.Exit


@app.callback(epilog="Exit codes: 0 ok, 1 failed, 2 invalid input, 3 refused by policy or by people.")
def interlock(
    settings: Annotated[
        Path | None,
        typer.Option(envvar="INTERLOCK_SETTINGS", help="This machine's settings file.", show_default=False),
    ] = None,
    version: Annotated[  # noqa: ARG001  # _version has answered by then
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Release, approve, roll back and explain: a release moves forward only when its way back is set."""
    if settings:
        os.environ["INTERLOCK_SETTINGS"] = str(settings)  # the loader reads it, and so does every child process


def main() -> NoReturn:
    """Run the command line."""
    app()
    sys.exit(0)


if __name__ == "__main__":
    main()
