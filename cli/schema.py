"""`interlock schema`: migrations, looked at, proven, applied and taken back; `lint` needs no database."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli import options, schema_change, schema_prove, schema_restore, schema_status, show
from cli.migration_files import files
from config.read import read as read_file
from domain.errors import Invalid, Refused
from domain.release.service import SchemaSpec
from domain.schema.consumer import Consumer
from domain.schema.impact import Finding, Impact, refusals, torn
from domain.schema.lint import lint as judge
from domain.schema.migration import Migration, read
from domain.schema.rules import RULES

app = typer.Typer(add_completion=False, no_args_is_help=True)
_COLOURS = {"error": "bold red", "warning": "yellow"}


@app.callback()
def schema() -> None:
    """Lint, prove, apply and take back migrations."""


@app.command(epilog="Example: `interlock schema lint db/migrations --after 12`")
def lint(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="With NNNN_name.up.sql and .down.sql files.")],
    after: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="The last one applied; what follows is one release.", show_default=False),
    ] = None,
    consumers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML: `consumers` as in a service's schema.", show_default=False),
    ] = None,
    json: options.Json = False,
) -> None:
    """Read migrations, and what to write instead.

    Class, locks and losses of every statement, from its text alone. Exits 3 when an error has no answer, 2 when files,
    names or headers are malformed. An answer is a comment beside it: `-- interlock: allow=RULE reason="why"`.
    """
    steps = [step for step in read(files(directory)) if after is None or step.number > after]
    known = _consumers(consumers) if consumers else ()
    impacts = [judge(step, known) for step in steps]
    both = torn(steps) if after is not None else None
    found = refusals(impacts)
    if json:
        rules = {one.rule: RULES[one.rule] for each in impacts for one in each.findings}
        show.data({"migrations": impacts, "rules": rules, "refused": bool(found or both), "torn": both})
    else:
        for step, one in zip(steps, impacts, strict=True):
            _print(step, one)
    _insist(len(steps), found, both)
    if not json:
        show.say(f"{len(steps)} migrations, nothing to refuse", "green")


def _insist(count: int, found: Sequence[Finding], both: str | None) -> None:
    said = [f"{one.file}:{one.line}: {one.rule}" for one in found] + ([f"one-schema-phase: {both}"] if both else [])
    if said:
        listed = "\n".join(said)
        raise Refused(
            f"{len(said)} unanswered in {count} migrations\n{listed}",
            'mend each, or accept it beside its statement: -- interlock: allow=RULE reason="why"',
        )


def _consumers(file: Path) -> tuple[Consumer, ...]:
    problems: list[str] = []
    spec = read_file(file, str(file), SchemaSpec, problems)
    if spec is None:
        raise Invalid.all(problems, "the keys of `schema.consumers` in a service's file")
    return spec.consumers


def _print(step: Migration, one: Impact) -> None:
    show.heading(f"{one.migration} ({step.phase})")
    for change in one.changes:
        show.say(f"{change.line:>4}  {change.says}", "dim")
    for finding in one.findings:
        rule = RULES[finding.rule]
        show.say(f"{finding.severity} {finding.rule}", "dim" if finding.reason else _COLOURS[finding.severity])
        show.say(f"  {finding.file}:{finding.line}: {finding.what}")
        if finding.reason:
            show.say(f"  accepted: {finding.reason}", "green")
        else:
            show.say(f"  {rule.happens}\n  → {rule.instead}")


_HERE = "db/migrations --database postgresql://…"
for _name, _command, _example in (
    ("prove", schema_prove.prove, f"prove {_HERE} --old-smoke old/smoke.sql --out proof.json"),
    ("migrate", schema_change.migrate, f"migrate {_HERE} --proof proof.json"),
    ("rollback", schema_change.rollback, "rollback --to 12 --database postgresql://…"),
    ("capture", schema_restore.capture, "capture --database postgresql://…"),
    ("backup", schema_restore.backup, "backup --out shop.dump.zst --database postgresql://…"),
    ("restore", schema_restore.restore, "restore shop.dump.zst --into shop_2 --database postgresql://…"),
    ("status", schema_status.status, f"status {_HERE}"),
    ("fingerprint", schema_status.fingerprint, "fingerprint --database postgresql://…"),
):
    app.command(_name, epilog=f"Example: `interlock schema {_example}`")(_command)
