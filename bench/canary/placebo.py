"""A bake with nothing beside it: the CUSUM on seasonal residuals, after a past of its own for each run.

A day is compressed into the two hours of the world's drift. Each run has a past of `PAST` such days, minute by minute,
and then one day of bakes with a pause of a minute in between, so that they begin at every hour of it. All traffic is
the new version's then. The slack is chosen on tuning seeds; everything else is counted on evaluation seeds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import product

import numpy as np

from bench.canary.experiments import Plan, Row
from bench.canary.latency import Floats
from bench.canary.measure import BATCH, TUNING, Share, seeds
from bench.canary.scenario import ENVIRONMENTS, Environment, Fault, Scenario
from bench.canary.world import Batch, World
from domain.canary.residual import SLACK, Past, Residual

MINUTE, DAY = 60, 120  # seconds; minutes
PAST, BAKE = 60, 15  # days; minutes
SLACKS = (0.25, 0.5, 1.0)

WEATHERS: Mapping[str, Environment] = {
    **{name: ENVIRONMENTS[name] for name in ("diurnal", "cron", "bursts")},
    "all three": Environment(drift=0.3, common_errors=0.3, common_latency=0.1, cron_errors=5, burst=20),
}
FAULTS: Mapping[str, Fault] = {
    "none": Fault(),
    "errors ×2": Fault(factor=2),
    "errors ×5": Fault(factor=5),
    "errors ×10": Fault(factor=10),
    "10 % fail": Fault(errors=0.1),
}
_TUNED_ON = ("none", "errors ×2")


def placebo(plan: Plan) -> Iterator[list[Row]]:
    """Choose the slack, then tell how often a healthy bake is stopped, and when each fault is found."""
    alone = {"candidates": 1, "stables": 1, "share": 1 - 1e-12, "look": MINUTE}
    for name, rps, errors in product(WEATHERS, plan.rps, plan.errors):
        about: Row = {"environment": name, "rps": rps, "errors": errors}
        scenario = Scenario.model_validate({"rps": rps, "errors": errors, "environment": WEATHERS[name], **alone})
        known, fresh = seeds(TUNING, plan.runs, plan.seed), plan.evaluation()
        yield [_row({**about, "tuning": f"slack {it:g}"}, scenario, _TUNED_ON, known, it) for it in SLACKS]
        yield [_row({**about, "evaluation": f"slack {SLACK:g}"}, scenario, tuple(FAULTS), fresh, SLACK)]


def _row(about: Row, scenario: Scenario, faults: Sequence[str], chosen: Sequence[int], slack: float) -> Row:
    found: dict[str, list[Floats]] = {name: [] for name in faults}
    for seed in chosen:
        past = _minutes(World(scenario, seed, BATCH).calibration(PAST * DAY * MINUTE), -PAST * DAY)
        judge = Residual(past, BAKE, day=DAY, slack=slack)
        for name, stopped in found.items():
            stopped.append(_bakes(World(scenario.faulty(FAULTS[name]), seed, BATCH), judge))
    bakes = sum(stopped.size for stopped in found["none"])
    return {**about, "bakes": bakes, **{name: _cell(np.concatenate(it, axis=None)) for name, it in found.items()}}


def _cell(stopped: Floats) -> str:
    share = Share(float(np.isfinite(stopped).mean()), stopped.size)
    half = np.sort(stopped)[stopped.size // 2]
    return f"{share.value:.4f} ± {share.error:.4f}" + (f", {half:.0f} min" if np.isfinite(half) else "")


def _bakes(world: World, judge: Residual) -> Floats:
    """Give the minute at which each bake of a day is stopped, inf where it is not; each begins with a fresh judge."""
    coming, told = _minutes(world.release(DAY * MINUTE), 0), []
    for begin in range(0, DAY - BAKE, BAKE + 1):
        fresh, stopped = copy(judge), np.full(world.runs, np.inf)
        for number, at in enumerate(range(begin, begin + BAKE), start=1):
            above = fresh.look(at, coming.requests[:, at], coming.events[:, at])
            stopped[above & np.isinf(stopped)] = number
        told.append(stopped)
    return np.concatenate(told)


def _minutes(looks: Iterable[Batch], begin: int) -> Past:
    both = np.array([np.add(it.candidate.total(), it.stable.total()) for it in looks], dtype=np.float64)
    requests, bad = np.moveaxis(both, 0, -1)
    return Past(np.arange(begin, begin + len(both)), requests, bad)
