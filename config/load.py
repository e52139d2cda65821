"""Find and load the settings, and everything in the config folder. All problems of all files are told at once."""

import os
from pathlib import Path
from typing import TypeVar

from config.catalog import Catalog, contradictions
from config.read import read
from config.settings import HOUSE, Settings
from domain.data.copy import Copy
from domain.environment.profile import Environment
from domain.errors import Invalid
from domain.policy.people import People, Person
from domain.release.service import Service

VARIABLE = "INTERLOCK_SETTINGS"
N = TypeVar("N", Service, Environment, Copy)


def find_settings() -> Path:
    """Find the settings file: $INTERLOCK_SETTINGS, else .interlock/settings.yaml here. Raises Invalid without one."""
    named = os.environ.get(VARIABLE)
    path = Path(named).expanduser().absolute() if named else HOUSE / ".interlock" / "settings.yaml"
    if not path.is_file():
        raise Invalid(f"no settings file: {path}" + f" (from {VARIABLE})" * bool(named), "`make up` writes one")
    return path


def load(path: Path | None = None) -> Settings:
    """Load one settings file; by default the one that `find_settings` finds. Raises Invalid with every problem."""
    path = path or find_settings()
    problems: list[str] = []
    settings = read(path, str(path), Settings, problems)
    if settings is None:
        raise Invalid.all(problems, "docs/configuration.md explains every key")
    return settings


def catalog(settings: Settings) -> Catalog:
    """Load services, environments and people. Raises Invalid with every problem of every file."""
    folder, problems, unread = settings.config, list[str](), set[str]()
    found = Catalog(
        services=_named(folder / "services", Service, problems, unread),
        environments=_named(folder / "environments", Environment, problems, unread),
        people=_people(folder / "people.yaml", settings.people, problems, unread),
        copies=_named(folder / "copies", Copy, problems, unread) if (folder / "copies").is_dir() else {},
    )
    problems += contradictions(found, frozenset(unread))
    if problems:
        raise Invalid.all(problems, f"the files are in {folder}; docs/configuration.md explains every key")
    return found


def _named(folder: Path, model: type[N], problems: list[str], unread: set[str]) -> dict[str, N]:
    """Read every file of a folder; each is called after what it describes."""
    found: dict[str, N] = {}
    if not folder.is_dir():
        problems.append(f"{folder.name}: there is no such folder")
    for path in sorted(folder.glob("*.y*ml")):
        label = f"{folder.name}/{path.name}"
        if path.suffix != ".yaml":
            problems.append(f"{label}: would be overlooked; call it {path.stem}.yaml")
        elif (value := read(path, label, model, problems)) and value.name == path.stem:
            found[value.name] = value
            continue
        elif value:
            problems.append(f"{label}: name: is {value.name!r}, but the file is {path.name}; make them agree")
            unread.add(f"{folder.name}/{value.name}.yaml")
        unread.add(f"{folder.name}/{path.stem}.yaml")
    return found


def _people(usual: Path, more: Path | None, problems: list[str], unread: set[str]) -> People:
    """Put the people of the config folder, where it names any, and those of this machine together."""
    files = {usual: usual.name} if usual.exists() else {}
    if more:
        files[more] = str(more)
    people: list[Person] = []
    for path, label in files.items():
        if (found := read(path, label, People, problems)) is None:
            unread.add(usual.name)
        else:
            people += found.people
    return People(people=tuple(people))
