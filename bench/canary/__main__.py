"""Measure judges of canaries on synthetic traffic: `python -m bench.canary aa|detect|rivals|bake|placebo|cost`.

aa: how often a healthy release is rolled back. detect: who finds which fault, and when. rivals: the same with every
judge tuned to one budget of false roll-backs. bake: both for a version that has all traffic. placebo: both again, held
against its own past. cost: what judging takes of a core, and of memory over a day. Tables go to the terminal; every row
and its conditions to --json.
"""

import argparse
import json
import math
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.canary.bake import bake
from bench.canary.cost import cost
from bench.canary.experiments import BUDGET, EXPERIMENTS, Plan, Row
from bench.canary.measure import BATCH
from bench.canary.placebo import placebo
from bench.canary.scenario import ENVIRONMENTS

ALL = {**EXPERIMENTS, "bake": bake, "placebo": placebo, "cost": cost}


def main() -> int:
    """Measure, print each table as soon as it is done, and keep all rows until now in the file."""
    options = _options()
    plan = _plan(options)
    conditions = {**asdict(plan), "batch": BATCH, "seeds": [plan.evaluation()[0], plan.evaluation()[-1]]}
    conditions |= {"budget": BUDGET, "numpy": np.__version__, "python": platform.python_version()}
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(f"bench.canary {options.what}: {conditions}", style="dim", highlight=False)
    rows: list[Row] = []
    begun = time.perf_counter()
    try:
        for some in ALL[options.what](plan):
            rows += some
            console.print(title(some), table(some), sep="\n", highlight=False)
            if options.json:
                conditions["seconds"] = round(time.perf_counter() - begun, 1)
                options.json.write_text(_json({"what": options.what, "conditions": conditions, "rows": rows}))
    except KeyboardInterrupt:
        return 130
    return 0


_ABOUT = ("environment", "rps", "errors", "fault", "runs")


def title(rows: list[Row]) -> str:
    """Say what rows of one table share."""
    return "\n" + ", ".join(f"{column} {rows[0][column]}" for column in _ABOUT if column in rows[0])


def table(rows: list[Row]) -> Table:
    """Render rows of one experiment; a share has its standard error behind it."""
    drawn = Table()
    columns = [column for column in rows[0] if column not in {*_ABOUT, "error"}]
    for column in columns:
        drawn.add_column(column, justify="left" if column == "judge" else "right")
    for row in rows:
        drawn.add_row(*(_cell(column, row) for column in columns))
    return drawn


def _cell(column: str, row: Row) -> str:
    value = row[column]
    if isinstance(value, str):
        return value
    if column in {"rolled back", "power"}:
        return f"{value:.4f} ± {row['error']:.4f}"
    return "–" if math.isnan(value) else f"{value:.4g}"


def _json(value: object) -> str:
    """Write what JSON has no number for as null (nan) and "inf"."""

    def plain(part: object) -> object:
        if isinstance(part, dict):
            return {key: plain(item) for key, item in part.items()}
        if isinstance(part, list | tuple):
            return [plain(item) for item in part]
        if isinstance(part, float) and not math.isfinite(part):
            return None if math.isnan(part) else str(part)
        return part

    return json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plan(options: argparse.Namespace) -> Plan:
    few = (
        {"rps": (50.0,), "errors": (0.001,), "environments": ("independent", "diurnal noisy")} if options.quick else {}
    )
    asked = {"rps": options.rps, "errors": options.errors, "environments": options.environment}
    return Plan(
        **{**few, **{key: tuple(values) for key, values in asked.items() if values}},
        runs=options.runs or (BATCH if options.quick else 1000),
        seed=options.seed,
        horizon=options.horizon,
        look=options.look,
        hosts=tuple(options.hosts),
        latency=not options.errors_only,
        tuned_in=options.tuned_in,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.canary", description=__doc__)
    parser.add_argument("what", choices=tuple(ALL))
    parser.add_argument("--runs", type=int, help=f"how many, rounded up to batches of {BATCH} (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="another number, other runs: 0 to 999")
    parser.add_argument("--quick", action="store_true", help="one batch, one rate, two environments")
    parser.add_argument("--json", type=Path, help="the file for all rows and their conditions")
    parser.add_argument("--rps", type=float, action="append", help="requests per second (again for more)")
    parser.add_argument("--errors", type=float, action="append", help="the usual error rate (again for more)")
    parser.add_argument("--environment", choices=tuple(ENVIRONMENTS), action="append", help="(again for more)")
    parser.add_argument("--tuned-in", choices=tuple(ENVIRONMENTS), help="rivals: tune there, whatever comes later")
    parser.add_argument("--hosts", type=int, nargs=2, default=(2, 18), metavar=("CANDIDATE", "STABLE"))
    parser.add_argument("--horizon", type=int, default=3600, help="seconds that a release is watched")
    parser.add_argument("--look", type=int, default=5, help="seconds of one look")
    parser.add_argument("--errors-only", action="store_true", help="leave latency out, which costs most of the time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
