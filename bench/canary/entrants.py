"""Who competes, and with which settings: those of each tool's documentation, or limits tuned to one budget.

A judge of our own is one more line, in `WITH_LATENCY` if it reads latency: anything that keeps to `rivals.rival.Rival`.
"""

from collections.abc import Mapping

from bench.canary.measure import Make
from bench.canary.ours import Ours, floored
from bench.canary.rivals.argo import Argo
from bench.canary.rivals.flagger import Flagger, FlaggerWithLatency
from bench.canary.rivals.kayenta import CONFIDENCE_98, Kayenta, KayentaOfThree
from bench.canary.rivals.ztest import ONE_PERCENT, ZTest
from bench.canary.scenario import Scenario
from bench.canary.tune import MakeScored
from domain.canary.calibration import DEFAULT_ERRORS
from domain.canary.criteria import Criteria


def allowed(scenario: Scenario) -> float:
    """Give the error ratio that a threshold tool is set to: 1 %, or twice the usual rate where that is more.

    The tools leave it to the user; 1 % is what their examples show.
    """
    return max(0.01, 2 * scenario.errors)


ENTRANTS: Mapping[str, Make] = {
    "Interlock": lambda scenario, runs: Ours(runs, Criteria(error_floor=floored(scenario.errors))),
    "Interlock, default spread": lambda scenario, runs: Ours(
        runs, Criteria(error_floor=floored(scenario.errors)), spread=DEFAULT_ERRORS
    ),
    "Interlock, no spread": lambda scenario, runs: Ours(
        runs, Criteria(error_floor=floored(scenario.errors)), spread=0.0
    ),
    "z at every look": lambda _, runs: ZTest(runs, ONE_PERCENT),
    "Kayenta": lambda _, runs: Kayenta(runs, CONFIDENCE_98),
    "Kayenta, each 5 min": lambda _, runs: Kayenta(runs, CONFIDENCE_98, step=60, every=300),
    "Kayenta, last 20": lambda _, runs: Kayenta(runs, CONFIDENCE_98, lookback=20),
    "Argo, limit 3": lambda scenario, runs: Argo(runs, 3, fail_above=allowed(scenario)),
    "Flagger, 5 checks": lambda scenario, runs: Flagger(runs, 5, success=1 - allowed(scenario)),
}

WITH_LATENCY: Mapping[str, Make] = {
    "Kayenta, 3 metrics": lambda _, runs: KayentaOfThree(runs, CONFIDENCE_98),
    "Flagger, p99": lambda scenario, runs: FlaggerWithLatency(runs, 5, success=1 - allowed(scenario)),
}

TUNABLE: Mapping[str, MakeScored] = {
    "z, tuned": lambda _, runs, limit: ZTest(runs, limit),
    "Kayenta, tuned": lambda _, runs, limit: Kayenta(runs, limit),
    "Argo, tuned": lambda scenario, runs, limit: Argo(runs, limit - 1, fail_above=allowed(scenario)),
    "Flagger, tuned": lambda scenario, runs, limit: Flagger(runs, limit, success=1 - allowed(scenario)),
}
