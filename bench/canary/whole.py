"""Whole releases through the judge and its ramp, as `interlock judge` rules them: `python -m bench.canary.whole`.

Errors and latency, three shares (10, 50, 100 %), a look each second; the ramp itself says when the share changes. Each
run has traffic of its own at every share. A release that somebody would have to look at (30 minutes at a share without
a decision) counts as held. Nothing of it is tuned on these seeds.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.canary.measure import EVALUATION
from bench.canary.ours import floored
from bench.canary.scenario import ENVIRONMENTS, HEALTHY, Fault, Scenario
from bench.canary.ticks import tick
from bench.canary.world import World
from domain.canary.calibration import Spread
from domain.canary.criteria import Criteria
from domain.canary.ramp import Course, Ramp
from domain.canary.tick import Tick

PATIENCE = 1800  # seconds at one share
TOGETHER = 12  # looks that are judged at once; the rulings are the same one by one
BUDGET = Criteria().harm_budget


@dataclass(frozen=True)
class End:
    """How one release ended, after how many seconds, and how many of the candidate's requests had failed by then."""

    action: str
    seconds: int
    failed: int


def main() -> int:
    """Release each kind so many times, print a table, and keep its rows."""
    options = _options()
    table = Table(
        "requests/s", "weather", "release", "promoted", "sent back", "held", "decided after, median", "p90", "failed"
    )
    rows = []
    for rps in options.rps:
        for name in options.environment:
            for kind, fault in kinds(options.errors).items():
                if options.kind and kind not in options.kind:
                    continue
                scenario = Scenario(
                    rps=rps, errors=options.errors, candidates=2, stables=options.stables,
                    environment=ENVIRONMENTS[name], fault=fault, look=1,
                )  # fmt: skip
                ends = [release(scenario, seed, options.spread) for seed in EVALUATION[: options.runs]]
                rows.append({"rps": rps, "environment": name, "kind": kind, "runs": len(ends)} | told(ends))
                table.add_row(f"{rps:g}", name, kind, *shown(rows[-1]))
                print(f"{rps:g} {name} {kind}: {rows[-1]}", file=sys.stderr, flush=True)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if options.json:
        conditions = vars(options) | {"json": str(options.json)}
        options.json.write_text(json.dumps({"options": conditions, "rows": rows}, indent=1))
    return 0


def kinds(errors: float) -> Mapping[str, Fault]:
    """List what is released: what is good, what is at the edge of the budget, and what is bad."""
    return {
        "good": HEALTHY,
        "at the budget's edge": Fault(errors=errors + BUDGET),
        "errors ×10": Fault(factor=10),
        "latency ×1.1": Fault(latency=1.1),
        "latency ×1.25": Fault(latency=1.25),
        "latency ×2": Fault(latency=2),
        "slow path ×3": Fault(tail=3),
    }


def release(scenario: Scenario, seed: int, spread: float | None) -> End:
    """Carry one release through its ramp."""
    criteria = Criteria(error_floor=floored(scenario.errors))
    known = None if spread is None else Spread(errors=spread, latency=spread / 5, source="given to the bench")
    ramp = Ramp(Course(at_most=PATIENCE, bake=0, criteria=criteria), known)
    begun, failed = 0, 0
    for number in range(3):
        share = ramp.share
        if share == 10_000:
            return End("promote", begun, failed)
        looks = _traffic(scenario, share, seed + number * 100_000, begun)
        while ticks := list(islice(looks, TOGETHER)):
            for one, ruling in zip(ticks, ramp.looks(ticks), strict=True):
                failed += one.total("candidate")[1]
                if ruling.action in ("rollback", "hold", "drain"):
                    return End(ruling.action, one.second + 1, failed)
                if ruling.share != share:
                    begun = one.second + 1
                    break
            if ramp.share != share:
                break
    return End("promote", begun, failed)


def _traffic(scenario: Scenario, share: int, seed: int, begin: int) -> Iterator[Tick]:
    at_share = scenario.model_copy(update={"share": share / 10_000})
    for batch in World(at_share, seed, 1, histograms=True).release(PATIENCE + 1):
        one = tick(batch, 0)
        yield one.model_copy(update={"second": begin + one.second - 1})


def told(ends: list[End]) -> dict[str, float]:
    """Sum up how releases ended; times are of those that nobody had to look at."""
    alone = sorted(end.seconds for end in ends if end.action in ("promote", "rollback"))
    counts = {name: sum(end.action in of for end in ends) / len(ends) for name, of in _ENDS.items()}
    return counts | {
        "median": statistics.median(alone) if alone else float("nan"),
        "p90": alone[int(0.9 * len(alone))] if alone else float("nan"),
        "failed": statistics.median(end.failed for end in ends),
    }


_ENDS = {"promoted": ("promote",), "sent back": ("rollback",), "held": ("hold", "drain")}


def shown(row: Mapping[str, object]) -> list[str]:
    """Word a row's figures."""
    shares = [f"{row[name]:.0%}" for name in _ENDS]
    return [*shares, f"{row['median']:.0f} s", f"{row['p90']:.0f} s", f"{row['failed']:g}"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.canary.whole", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rps", type=float, nargs="+", default=[50.0, 500.0])
    parser.add_argument("--errors", type=float, default=0.001)
    parser.add_argument("--environment", nargs="+", choices=tuple(ENVIRONMENTS), default=["independent", "noisy"])
    parser.add_argument("--kind", nargs="+", help="these releases only")
    parser.add_argument("--stables", type=int, default=4, help="hosts of the stable version; the candidate has 2")
    parser.add_argument("--spread", type=float, help="known between replicas' error rates; a fifth of it in latency")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
