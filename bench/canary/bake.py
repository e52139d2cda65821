"""A version with (nearly) all traffic for a quarter of an hour: who cries wolf, and who finds what, and when.

Each judge has what it would have in a release: the burn guard an objective that a healthy version just keeps, the floor
a quarter above the usual error rate, a holdback 5 % or 20 % of the traffic on the old version. What the ramp has seen
before is left out.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import numpy as np

from bench.canary.experiments import Plan, Row, detected, false_alarms
from bench.canary.measure import Course, Make, follow
from bench.canary.ours import Ours, floored
from bench.canary.rivals.rival import Bools
from bench.canary.scenario import HEALTHY, Fault, Scenario
from bench.canary.world import Batch
from domain.canary.burn import Burn
from domain.canary.criteria import Criteria, Objective
from domain.canary.harm import Counts, Harm, Margins
from domain.canary.judge import BAKE

HORIZON = 900  # seconds
HELD_BACK = (0.05, 0.2)

FAULTS: Mapping[str, Fault] = {
    "errors ×5": Fault(factor=5),
    "errors ×10": Fault(factor=10),
    "errors ×20": Fault(factor=20),
    "10 % fail": Fault(errors=0.1),
    "all fail": Fault(errors=1),
    "10 % fail after 5 min": Fault(errors=0.1, onset=300),
}


class Guard:
    """The burn guard alone, one for each run."""

    histograms: ClassVar[bool] = False

    def __init__(self, runs: int, objective: Objective) -> None:
        self._burns = [Burn(objective) for _ in range(runs)]

    def calibrate(self, hour: Iterable[Batch]) -> None:
        """Learn nothing: the objective is declared."""

    def look(self, batch: Batch) -> Bools:
        """Take one look at all runs."""
        for burn, requests, bad in zip(self._burns, *(it.tolist() for it in batch.candidate.total()), strict=True):
            burn.look(batch.second, requests, bad)
        return np.array([bool(burn.words) for burn in self._burns])


class Floor:
    """What the judge has without a holdback: evidence that more fails than the floor allows."""

    histograms: ClassVar[bool] = False

    def __init__(self, runs: int, criteria: Criteria) -> None:
        self._harm = Harm(Margins(criteria.error_ratio, criteria.error_floor), (runs,))
        self._needed = math.log(1 / (criteria.alpha * BAKE))

    def calibrate(self, hour: Iterable[Batch]) -> None:
        """Learn nothing: the floor is declared."""

    def look(self, batch: Batch) -> Bools:
        """Take one look at all runs."""
        requests, bad = (it.astype(np.float64)[None, :, None] for it in batch.candidate.total())
        nobody = np.zeros(requests.shape[:2])
        shown = self._harm.looks(Counts(requests, bad, nobody, nobody), alone=True)
        crossed: Bools = shown.errors[0, :, 0] >= self._needed
        return crossed


def _criteria(scenario: Scenario) -> Criteria:
    return Criteria(error_floor=floored(scenario.errors))


ALONE: Mapping[str, Make] = {
    "burn guard": lambda scenario, runs: Guard(runs, Objective(success=100 * (1 - scenario.errors))),
    "floor": lambda scenario, runs: Floor(runs, _criteria(scenario)),
}


def bake(plan: Plan) -> Iterator[list[Row]]:
    """Watch what has passed the ramp: first the healthy, then what spoils with all traffic."""
    for about, scenario in plan.scenarios():
        yield [{**about, "judge": name, **false_alarms(it)} for name, it in _watched(plan, scenario, HEALTHY)]
        for name, fault in FAULTS.items():
            seen = _watched(plan, scenario, fault)
            row = {**about, "fault": name}
            yield [{**row, "judge": judge, **detected(it, scenario.faulty(fault))} for judge, it in seen]


def _watched(plan: Plan, scenario: Scenario, fault: Fault) -> Iterator[tuple[str, Course]]:
    many = {"candidates": scenario.stables, "stables": scenario.candidates, "fault": fault}
    for held in HELD_BACK:
        beside = scenario.model_copy(update={**many, "share": 1 - held})
        compared: Mapping[str, Make] = {f"holdback {held:.0%}": lambda it, runs: Ours(runs, _criteria(it))}
        judges = {**ALONE, **compared} if held == HELD_BACK[0] else compared
        yield from follow(judges, beside, plan.evaluation(), HORIZON).items()
