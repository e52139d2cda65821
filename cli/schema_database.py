"""Which database the commands of `interlock schema` mean: any PostgreSQL, with no settings, ledger or Prefect."""

from pathlib import Path
from typing import Annotated

import typer

from adapters.postgres import Postgres
from adapters.secrets import References, remember
from domain.errors import Invalid

URL = "--database"

Database = Annotated[
    str,
    typer.Option(
        URL,
        envvar="INTERLOCK_DATABASE",
        metavar="URL",
        help="postgresql://… or secret://env/NAME; a password is safer in the variable than here.",
        show_default=False,
    ),
]
Directory = Annotated[
    Path, typer.Argument(metavar="DIRECTORY", help="With NNNN_name.up.sql and .down.sql files.", show_default=False)
]


class Given:
    """Resolves the connection string that was typed, or the reference to it."""

    def __init__(self, url: str) -> None:
        if not url:
            raise Invalid(f"no database: {URL} is not given", "name one, or set INTERLOCK_DATABASE")
        self._url = url
        remember(url)

    def resolve(self, _: str) -> str:
        """Give the connection string."""
        return References().resolve(self._url) if self._url.startswith("secret://") else self._url


def opened(url: str) -> Postgres:
    """Reach the database behind a URL; it is called `--database` in every message, and never by its URL."""
    return Postgres(URL, Given(url))


def text(file: Path | None) -> str | None:
    """Read a file, if one is named. Raises Invalid when it cannot be read."""
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file}: {error}", "name a file of text, in UTF-8") from error
