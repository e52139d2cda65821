"""`interlock data`: masked and subset copies of a PostgreSQL database, for every place where nobody's data may be."""

import time
from calendar import timegm
from pathlib import Path
from typing import Annotated

import typer

from adapters import postgres_copy as taken
from adapters.postgres_check import fit
from adapters.postgres_copyist import PostgresCopyist
from adapters.postgres_end import End
from adapters.secrets import References, install_redaction, remember
from cli import options, show
from config.load import catalog, load
from config.read import read
from domain.data.copy import Copy
from domain.data.policy import Policy
from domain.data.stamp import Stamp
from domain.data.subset import plan
from domain.errors import Invalid, Rejected, ReleaseError
from domain.ports import Copyist
from domain.value import seconds

app = typer.Typer(add_completion=False, no_args_is_help=True)
_URL = "postgresql://… or a secret://… reference to one."
From = Annotated[
    str, typer.Option("--from", metavar="URL", envvar="INTERLOCK_DATA_FROM", help=_URL, show_default=False)
]
Into = Annotated[
    str, typer.Option("--into", metavar="URL", envvar="INTERLOCK_DATA_INTO", help=_URL, show_default=False)
]
Database = Annotated[
    str, typer.Option("--database", metavar="URL", envvar="INTERLOCK_DATA_DATABASE", help=_URL, show_default=False)
]
PolicyFile = Annotated[Path, typer.Option("--policy", metavar="FILE", help="The masking policy.", show_default=False)]


@app.callback()
def data() -> None:
    """Copy a database without what is private in it.

    docs/data.md shows what a policy holds, and what is guaranteed.
    """


@app.command(
    epilog="Example: `interlock data refresh --from secret://env/SHOP --into secret://env/TEST --policy p.yaml`"
)
def refresh(from_: From, into: Into, policy: PolicyFile, json: options.Json = False) -> None:
    """Put a fresh masked copy in the place of the last one.

    The place must hold a copy of ours, or nothing. Exits 3 when a column has no rule or the place holds something else,
    1 when a private value would survive or a constraint does not hold. The old copy stays until the new one is whole.
    """
    rules = _policy(policy)
    key = _resolved(rules.key)
    source, target = End(_resolved(from_)), End(_resolved(into))
    began = time.monotonic()
    stamp = taken.refresh(source, target, rules, key, lambda said: show.say(said, "dim", show.err))
    if json:
        show.data(stamp)
    else:
        _print(stamp, target)
        show.say(f"{target} is fresh, after {time.monotonic() - began:.1f} s", "green")


@app.command(epilog="Example: `interlock data check --policy policy.yaml --database secret://env/SHOP`")
def check(policy: PolicyFile, database: Database, json: options.Json = False) -> None:
    """Hold a policy against a database; nothing is copied.

    Names every column without a rule, every rule that does not fit its column, and every reference that would break,
    and exits 3 then.
    """
    rules, source = _policy(policy), End(_resolved(database))
    with source.link() as link:
        shape = fit(link, rules)
    steps = plan(rules, shape)
    columns = sum(len(table.written) for name, table in shape.tables.items() if rules.table(name).copied)
    if json:
        show.data({"policy": rules.hash, "tables": len(shape.tables), "columns": columns, "plan": steps})
        return
    rows = ((name, rules.table(name).takes, _masked(rules, name)) for name in shape.tables)
    show.table("Tables", ("table", "rows", "masked"), rows, "no tables")
    for circle in steps.circles:
        show.say(f"refer to each other in a circle: {' → '.join((*circle, circle[0]))}", "dim")
    show.say(f"{columns} columns are classified; nothing to refuse", "green")


@app.command(
    epilog="Example: `interlock data scan --from secret://env/SHOP --database secret://env/TEST --policy p.yaml`"
)
def scan(from_: From, database: Database, policy: PolicyFile, json: options.Json = False) -> None:
    """Search a copy for private values of its source.

    Values are sampled from every masked column. What is found is told by table and column, never by value, and
    exits 1.
    """
    rules = _policy(policy)
    source, target = End(_resolved(from_)), End(_resolved(database))
    count, found = taken.search(source, target, rules)
    if json:
        show.data({"searched": count, "found": found})
    if found:
        raise Rejected(
            "\n".join([f"private values stand in {target}", *(finding.says for finding in found)]),
            "give these columns a rule and refresh, or accept them under scan.accept",
        )
    if not json:
        show.say(f"none of {count} private values was found", "green")


@app.command(epilog="Example: `interlock data copies`")
def copies(json: options.Json = False) -> None:
    """List the copies that config/copies declares, and how old each is.

    The flow `refresh` takes them every night. Exits 1 when one is older than its `fresh`, or not there at all.
    """
    settings = load()
    secrets = References(settings.secrets.folder, settings.secrets.aws)
    install_redaction()
    rows = []
    for _, wanted in sorted(catalog(settings).copies.items()):
        policy = _policy(settings.config / wanted.policy)
        rows.append(_row(wanted, PostgresCopyist(wanted, policy, secrets)))
    if json:
        show.data([dict(zip(("copy", "taken", "of", "state"), row, strict=True)) for row in rows])
    else:
        show.table("Copies", ("copy", "taken", "of", "state"), rows, "none is declared: config/copies/NAME.yaml")
    if stale := [name for name, *_, state in rows if state != "fresh"]:
        raise Rejected(f"not fresh: {', '.join(stale)}", "run the deployment `refresh`, or `interlock data refresh`")


def _row(wanted: Copy, ready: Copyist) -> tuple[str, str, str, str]:
    try:
        stamp = ready.stamp()
    except ReleaseError as error:
        return wanted.name, "–", "–", error.message
    stale = _age(stamp) > wanted.fresh
    return wanted.name, show.when(stamp.taken_at), stamp.source, "stale" if stale else "fresh"


def _age(stamp: Stamp) -> float:
    return time.time() - timegm(time.strptime(stamp.taken_at, "%Y-%m-%dT%H:%M:%SZ"))


@app.command(epilog="Example: `interlock data status --database secret://env/TEST --max-age 2d`")
def status(
    database: Database,
    max_age: Annotated[str, typer.Option(metavar="DURATION", help="Exit 1 when it is older.")] = "",
    json: options.Json = False,
) -> None:
    """Say when a copy was taken, of what, and by which policy."""
    limit = seconds(max_age) if max_age else None
    if limit is not None and not isinstance(limit, float):
        raise Invalid(f"--max-age {max_age}: no duration", "write 12h or 2d")
    target = End(_resolved(database))
    stamp = taken.status(target)
    age = _age(stamp)
    if json:
        show.data({**stamp.model_dump(mode="json"), "age_seconds": round(age)})
    else:
        _print(stamp, target)
    if limit is not None and age > limit:
        raise Rejected(f"{target} is {age / 3600:.1f} hours old", "refresh it")


def _print(stamp: Stamp, target: End) -> None:
    show.table(str(target), ("table", "rows"), ((name, str(count)) for name, count in stamp.tables.items()))
    show.say(
        f"copy of {stamp.source} (PostgreSQL {stamp.server}), as it was {show.when(stamp.taken_at)}, by policy"
        f" {stamp.policy[:12]}; searched for {stamp.searched} private values"
    )


def _policy(file: Path) -> Policy:
    problems: list[str] = []
    policy = read(file, str(file), Policy, problems)
    if policy is None:
        raise Invalid.all(problems, "docs/data.md shows every key")
    return policy


def _resolved(given: str) -> str:
    """Look up a reference; a URL stands for itself, and its password is masked in the log from now on."""
    install_redaction()
    if not given.startswith("secret://"):
        remember(given)
        return given
    if given.startswith("secret://env/"):
        return References().resolve(given)
    kept = load().secrets  # files and AWS are where this machine's settings say
    return References(kept.folder, kept.aws).resolve(given)


def _masked(policy: Policy, table: str) -> str:
    return ", ".join(name for name, rule in policy.table(table).columns.items() if rule.kind != "keep") or "–"
