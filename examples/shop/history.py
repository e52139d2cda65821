"""The shop's git history, made from the versions kept in this tree: `python -m examples.shop.history TARGET`."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from pydantic import Field

from domain.errors import Conflict
from domain.value import Value

VERSIONS = Path(__file__).parent / "versions"
_LEFT_OUT = shutil.ignore_patterns("commit.yaml", "__pycache__", ".*_cache")
# The same bytes on every machine: no configuration of the user or the system, no hooks from a template.
_PLAIN = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TEMPLATE_DIR": "", "TZ": "UTC"}


class Change(Value):
    """The `commit.yaml` of one version: everything about its commit that is not a file."""

    tag: str = Field(pattern=r"^v\d+\.\d+\.\d+$")
    date: datetime
    author: str = Field(pattern=r"^[^<>]+ <[^<> ]+>$", description="Name <e-mail>; commits as well")
    message: str
    deleted: tuple[str, ...] = ()


def make_history(target: Path) -> Path:
    """Make the repository at `target`, and return it; a repository that holds this history already is left alone.

    One commit on `main` and one light tag per version; names, dates and therefore shas are the same every time. Raises
    Conflict when something else is there. Commits made on top of the history are nobody's business here.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        made = _make(Path(folder) / "made")
        try:
            made.rename(target)  # all or nothing; an empty folder is replaced
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            if not tags(made).items() <= tags(target).items():
                raise Conflict(f"{target}: holds something else than the shop's history", "move it away") from error
    return target


def tags(repository: Path) -> dict[str, str]:
    """List tag → sha of a repository; empty when it is none."""
    if not (repository / ".git").is_dir():
        return {}
    lines = _git(repository, "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/tags").splitlines()
    return dict(line.split() for line in lines)


def _make(repository: Path) -> Path:
    repository.mkdir()
    _git(repository, "init", "--quiet", "--initial-branch=main")
    folders = {folder: _change(folder) for folder in VERSIONS.glob("v*")}
    for folder, change in sorted(folders.items(), key=lambda pair: pair[1].date):
        shutil.copytree(folder, repository, dirs_exist_ok=True, ignore=_LEFT_OUT)
        for path in change.deleted:
            (repository / path).unlink()
        _commit(repository, change)
    return repository


def _change(folder: Path) -> Change:
    return Change.model_validate(yaml.safe_load((folder / "commit.yaml").read_text()))


def _commit(repository: Path, change: Change) -> None:
    name, _, email = change.author.rstrip(">").partition(" <")
    who = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in {"NAME": name, "EMAIL": email, "DATE": change.date.isoformat()}.items()
    }
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--file=-", text=change.message, env=who)
    _git(repository, "tag", change.tag)


def _git(repository: Path, *arguments: str, text: str = "", env: Mapping[str, str] = {}) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *arguments],
        cwd=repository,
        input=text,
        env={**clean, **_PLAIN, **env},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m examples.shop.history TARGET")
    for tag, sha in tags(make_history(Path(sys.argv[1]).absolute())).items():
        print(tag, sha)
