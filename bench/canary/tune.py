"""Give a judge the limit that spends a false-positive budget, found by simulation on seeds that measure nothing."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from bench.canary.latency import Floats
from bench.canary.measure import BATCH
from bench.canary.rivals.rival import Scored
from bench.canary.scenario import Scenario
from bench.canary.world import HOUR, World

MakeScored = Callable[[Scenario, int, float], Scored]  # scenario, runs, limit


def limit(
    make: MakeScored, scenario: Scenario, budget: float, chosen: Sequence[int], horizon: int = HOUR, runs: int = BATCH
) -> float:
    """Find the smallest limit that at most the `budget` part of healthy releases reaches within the horizon.

    It is found on the runs of the seeds given (`measure.TUNING`), so on others it may miss the budget by what chance
    allows: measure it there before quoting it. Whole numbers stay whole; inf means that no limit keeps the budget.
    """
    highest = np.sort(np.concatenate([_highest(make, scenario, seed, horizon, runs) for seed in chosen]))[::-1]
    first_spared = float(highest[math.floor(budget * len(highest))])
    return first_spared + 1 if first_spared.is_integer() else math.nextafter(first_spared, math.inf)


def _highest(make: MakeScored, scenario: Scenario, seed: int, horizon: int, runs: int) -> Floats:
    rival = make(scenario.healthy(), runs, math.inf)
    world = World(scenario.healthy(), seed, runs, histograms=rival.histograms)
    rival.calibrate(world.calibration())
    highest = np.full(runs, -np.inf)
    for batch in world.release(horizon):
        highest = np.maximum(highest, rival.score(batch))
    return highest
