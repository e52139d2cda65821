"""`interlock schema prove`: walk the way there and back on a copy."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from adapters.connect import connect
from adapters.postgres import Postgres
from cli import options, show
from cli.migration_files import files
from cli.schema_database import Database, opened, text
from domain.errors import Invalid, Rejected
from domain.schema.migration import SMOKE, pending, read
from domain.schema.proof import Proof
from domain.schema.rehearsal import WayBack
from domain.schema.told import TIERS, costs_words
from tasks.prove import on_a_copy


@dataclass(frozen=True)
class Tried:
    """What is to be proven, and the database it is for."""

    database: Postgres
    way: WayBack


def prove(
    target: Annotated[
        str,
        typer.Argument(
            metavar="DIRECTORY|SERVICE", help="Migrations; or a service, with --environment.", show_default=False
        ),
    ],
    database: Database = "",
    old_smoke: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="smoke.sql of the version that runs now.", show_default=False),
    ] = None,
    nothing_runs: Annotated[bool, typer.Option("--nothing-runs", help="No version uses the database yet.")] = False,
    ref: options.Ref = "main",
    environment: Annotated[str, typer.Option(help="Of the service.", show_default=False)] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the proof here, for `migrate`.", show_default=False)
    ] = None,
    json: options.Json = False,
) -> None:
    """Walk the way there and back on a copy, before anybody walks it where it counts.

    Restores a dump into a scratch database on the same server and drops it in the end. There it goes up, lets the old
    version's statements and the new one's run, goes down, compares schema and every row with what was before, goes up
    again, lets both versions write, and goes down once more. Exits 1 with every reason why the way back does not hold.
    """
    tried = (
        _of_service(target, ref, environment)
        if environment
        else _of_folder(Path(target), opened(database), old_smoke, nothing_runs)
    )
    proof = on_a_copy(tried.database, tried.way, time.time())
    if out:
        out.write_text(proof.model_dump_json(indent=1), encoding="utf-8")
    _show(proof, json=json)
    if not proof.holds:
        told = "\n".join(problem.says for problem in proof.problems)
        raise Rejected(f"the way back does not hold:\n{told}", "mend the migration or its down script, and prove again")


def _show(proof: Proof, *, json: bool) -> None:
    if json:
        show.data(proof.model_dump(mode="json") | {"holds": proof.holds, "hash": proof.hash})
        return
    for label, cost in proof.rehearsal.costs.items():
        show.say(f"{label}: {costs_words(cost)}")
    if proof.holds:
        steps = len(proof.subject.steps)
        show.say(f"the way back of {steps} migrations holds: {TIERS[proof.tier]}", "green")


def _of_folder(folder: Path, database: Postgres, old_smoke: Path | None, nothing_runs: bool) -> Tried:
    found = files(folder)
    steps = pending(read(found), database.applied())
    if nothing_runs == (old_smoke is not None):
        raise Invalid(
            "nobody can tell whether the version that runs now works on the new schema",
            "give its statements as --old-smoke FILE, or say --nothing-runs",
        )
    return Tried(database, WayBack(steps=steps, old=text(old_smoke), new=found.get(SMOKE)))


def _of_service(service: str, ref: str, environment: str) -> Tried:
    desk = connect(service)
    database = desk.ports.databases.get(environment)
    if not isinstance(database, Postgres) or desk.service.schema_ is None:
        raise Invalid(f"{service} has no database in {environment!r}", "see config/services")
    spec, source = desk.service.schema_, desk.ports.source
    folder = spec.migrations
    found = source.files(source.resolve(ref).sha, folder)
    serving = desk.commit_serving(environment)
    old = source.files(serving, folder).get(SMOKE, "") if serving else None
    asked = {"invariants": spec.invariants, "invariant_timeout": spec.invariant_timeout}
    steps = pending(read(found), database.applied())
    way = WayBack(steps=steps, old=old, new=found.get(SMOKE))
    return Tried(database, way.model_copy(update=asked))
