"""`interlock backups`: which are kept and why, holding one, and letting go of those that nothing needs."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated

import typer

from adapters.connect import Desk, House, connect, open_house, store
from cli import options, show
from cli.find import oneself
from domain.errors import Conflict, Invalid, ReleaseError
from domain.facts import BackupFreed, BackupHeld, BackupLetGo
from domain.release.retention import FOLDER, Ruling, Shelved, holds, name_of
from tasks.find_backups import find_backups, find_strangers
from tasks.let_go import let_go

_SAYS = "See which backups are kept and why, hold one, and let go of what nothing needs."
app = typer.Typer(add_completion=False, help=_SAYS, no_args_is_help=True)
Key = Annotated[
    str, typer.Argument(metavar="KEY", help="A backup, as `list` or the journal names it.", show_default=False)
]
_HOLDS = ("backup held", "backup freed")


@app.command("list", epilog="Example: `interlock backups list shop production`")
def list_(
    service: options.Service,
    environment: Annotated[
        str, typer.Argument(metavar="ENVIRONMENT", help="Left out: every one.", show_default=False)
    ] = "",
    json: options.Json = False,
) -> None:
    """List the backups of a service, and why each is kept.

    Nothing is changed. What nobody can tell anything about is kept, and marked with a question mark.
    """
    desk = connect(service, open_house())
    if environment and environment not in desk.service.environments:
        raise Invalid(f"{service} has no environment {environment!r}", f"known: {', '.join(desk.service.environments)}")
    found = [it for it in _ruled(desk) if environment in ("", it.backup.environment)]
    _print("backups", found, json)


@app.command(epilog="Example: `interlock backups prune shop --dry-run`")
def prune(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="One service; left out: every one.", show_default=False)
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and remove nothing.")] = False,
    myself: options.Myself = "",
    yes: options.Yes = False,
    json: options.Json = False,
) -> None:
    """Let go of the backups that nothing needs; the flow `prune` does it every night.

    Shows what would go, and asks. Each removal is a fact in the journal, with its reason and your name, before anything
    is removed. A place that somebody holds is left alone.
    """
    house = open_house()
    desks = [connect(name, house) for name in ([service] if service else sorted(house.catalog.services))]
    found = [it for desk in desks for it in _ruled(desk) if not it.keep]
    if not service:
        _warn(find_strangers(house.catalog.services, store(house)))
    if dry_run or not found:
        _print("would go", found, json)
        return
    person = oneself(myself, house.people)
    if not yes:
        _print("would go", found, json=False)
        typer.confirm(f"{person.name}: let go of these {len(found)}?", abort=True)
    went, problems = list[Ruling](), list[str]()
    for desk in desks:
        for environment in desk.service.environments:
            try:
                went += let_go(desk, desk.settings.store.keep, environment, person.name)
            except ReleaseError as error:
                problems.append(f"{desk.service.name} in {environment}: {error.message}")
    _print("went", went, json)
    if left := len(found) - len(went):
        show.say(f"{left} stay: somebody holds them, or their environment", "yellow", show.err)
    if problems:
        raise Conflict("\n".join(problems), "try again later; what went is in the journal")


@app.command(
    epilog="Example: `interlock backups hold backups/shop/production/shop-v1.2.0-3f9c01/000 --reason 'an audit'`"
)
def hold(key: Key, reason: options.Reason, myself: options.Myself = "") -> None:
    """Keep a backup, however old it is, until somebody frees it."""
    house = open_house()
    it = _insist(key, reason, house)
    person = oneself(myself, house.people)
    held = house.journal.append(
        BackupHeld(key=it.key, reason=reason),
        actor=person.name, release=it.release, service=it.service, environment=it.environment,
    )  # fmt: skip
    let = house.journal.entries(release=it.release, kinds=("backup let go",))
    if gone := [entry.at for entry in let if entry.seq < held.seq and _is_about(entry.fact, it)]:
        raise Conflict(
            f"{it.key} is held, but somebody let go of it at {show.when(gone[-1])}, before that",
            f"`interlock backups list {it.service} {it.environment}` shows what is left of it",
        )
    show.say(f"{person.name} holds {it.key}: {reason}", "green")


@app.command(
    epilog="Example: `interlock backups unhold backups/shop/production/shop-v1.2.0-3f9c01/000 --reason 'it ended'`"
)
def unhold(key: Key, reason: options.Reason, myself: options.Myself = "") -> None:
    """Hold a backup no longer; it is kept as long as anything else needs it."""
    house = open_house()
    it = _insist(key, reason, house)
    person = oneself(myself, house.people)
    if it.key not in holds(house.journal.entries(release=it.release, kinds=_HOLDS)):
        raise Invalid(f"nobody holds {it.key}", f"`interlock backups list {it.service}` tells why it is kept")
    house.journal.append(
        BackupFreed(key=it.key, reason=reason),
        actor=person.name, release=it.release, service=it.service, environment=it.environment,
    )  # fmt: skip
    show.say(f"{it.key} is not held any more: {reason}", "green")


def _is_about(fact: object, it: Shelved) -> bool:
    return isinstance(fact, BackupLetGo) and fact.key == it.key


def _ruled(desk: Desk) -> tuple[Ruling, ...]:
    return find_backups(desk, desk.settings.store.keep)


def _insist(key: str, reason: str, house: House) -> Shelved:
    """Find the backup that a key names. Raises Invalid with everything that is wrong with the request."""
    problems = [] if reason.strip() else ["--reason is empty"]
    name, service = name_of(key), key.removeprefix(FOLDER).partition("/")[0]
    known = {it.backup.key: it.backup for it in _ruled(connect(service, house))} if _serves(service, house) else {}
    if name not in known:
        near = get_close_matches(name, known, n=2, cutoff=0.6)
        problems.append(f"there is no backup {key!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    elif not known[name].release:
        problems.append(f"{key} is not called like a backup; it is kept in any case")
    if problems:
        raise Invalid.all(problems, "`interlock backups list SERVICE` lists them; say why in a few words")
    return known[name]


def _serves(service: str, house: House) -> bool:
    return service in house.catalog.services


def _print(title: str, found: Sequence[Ruling], json: bool) -> None:
    if json:
        show.data({title.replace(" ", "_"): found})
        return
    rows = [(it.backup.key, f"{it.backup.age / 86_400:.1f} d", _state(it), it.says) for it in found]
    show.table(title, ("backup", "age", "", "why"), rows, f"{title}: none")


def _state(it: Ruling) -> str:
    if it.doubtful:
        return "?"
    return ("kept" if it.keep else "may go") + ("" if it.backup.whole else ", incomplete")


def _warn(strange: Sequence[Ruling]) -> None:
    for it in strange:
        show.say(f"{it.backup.key} stays: {it.says}", "yellow", show.err)
