"""What a judge is worth on a scenario: how often it is wrong, how late it is right, and what that costs visitors.

Every judge sees the same runs. Seeds for tuning and for evaluation are apart, so that no judge is measured on what it
was tuned on; each seed stands for one batch of `BATCH` runs.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.canary.latency import Floats
from bench.canary.rivals.rival import Rival
from bench.canary.scenario import ENVIRONMENTS, Scenario
from bench.canary.world import HOUR, Batch, World

TUNING = range(1_000_000)
EVALUATION = range(1_000_000, 2_000_000)
BATCH = 250  # runs that are drawn together
DECIDED = 0.99  # the part of runs that must have ended for their mean to be one
_APART = 1_000  # batches that one --seed has to itself

Make = Callable[[Scenario, int], Rival]  # makes a fresh judge of so many runs, with what suits the scenario


def seeds(among: range, runs: int, seed: int = 0) -> Sequence[int]:
    """Choose the seeds of at least `runs` runs; different `seed`s (below 1000) share none."""
    batches = math.ceil(runs / BATCH)
    assert batches <= _APART, f"{runs} runs need the seeds of another --seed"
    return among[seed * _APART : seed * _APART + batches]


@dataclass(frozen=True)
class Share:
    """A proportion of runs."""

    value: float
    runs: int

    @property
    def error(self) -> float:
        """Give the standard error; at 0 and 1 that of one run more or less, so that certainty is never claimed."""
        value = min(max(self.value, 1 / (self.runs + 1)), self.runs / (self.runs + 1)) if self.runs else math.nan
        return math.sqrt(value * (1 - value) / self.runs) if self.runs else math.nan


@dataclass(frozen=True)
class Course:
    """How one judge's runs went; arrays are (R,). `horizon` is in seconds; a release that goes on until then stays."""

    horizon: int
    fired: Floats  # the second of the roll-back, inf when there was none
    failed: Floats  # the candidate's failed requests since the fault's onset until then, or until the horizon
    requests: Floats  # the candidate's requests, likewise

    def false_rollbacks(self) -> Share:
        """Tell how many runs were rolled back; on a healthy candidate each of them is wrong."""
        return Share(float(np.isfinite(self.fired).mean()), len(self.fired))

    def detection(self, onset: float = 0.0) -> "Detection":
        """Sum up how a fault was found, among the runs that were not rolled back before its onset."""
        alive = self.fired > onset
        delay = self.fired[alive] - onset
        found = np.isfinite(delay)
        return Detection(
            power=Share(float(found.mean()) if found.size else math.nan, int(alive.sum())),
            early=Share(float(1 - alive.mean()), len(alive)),
            mean=float(np.minimum(delay, self.horizon - onset).mean()) if found.size else math.nan,
            median=_ranked(delay, 0.5),
            p90=_ranked(delay, 0.9),
            failed=float(np.median(self.failed[alive])) if found.size else math.nan,
            requests=float(self.requests[alive].mean()) if found.size else math.nan,
        )


@dataclass(frozen=True)
class Detection:
    """How a fault was found: seconds from its onset.

    `power` is the part of runs rolled back within the horizon, `early` those rolled back before the onset. `mean` and
    `requests` (the candidate's, mean) count a run that was not rolled back with all it had until the horizon: with a
    power below 1 they are too small. `median` and `p90` are inf when that many were not found; `failed` is a median.
    """

    power: Share
    early: Share
    mean: float
    median: float
    p90: float
    failed: float
    requests: float


def follow(
    makes: Mapping[str, Make], scenario: Scenario, chosen: Sequence[int], horizon: int = HOUR, runs: int = BATCH
) -> dict[str, Course]:
    """Let every judge see the same runs, a batch of `runs` per seed, until each has decided or the horizon is reached.

    A judge that needs latencies makes them be drawn; the counts are the same either way.
    """
    courses = [_batch(makes, scenario, seed, horizon, runs) for seed in chosen]
    return {
        name: Course(horizon, *(np.concatenate([getattr(c[name], part) for c in courses]) for part in _ARRAYS))
        for name in makes
    }


_ARRAYS = ("fired", "failed", "requests")


def _batch(makes: Mapping[str, Make], scenario: Scenario, seed: int, horizon: int, runs: int) -> dict[str, Course]:
    rivals = {name: make(scenario, runs) for name, make in makes.items()}
    world = World(scenario, seed, runs, histograms=any(rival.histograms for rival in rivals.values()))
    for rival in rivals.values():
        rival.calibrate(world.calibration())
    courses = {name: Course(horizon, np.full(runs, np.inf), np.zeros(runs), np.zeros(runs)) for name in makes}
    for batch in world.release(horizon):
        for name, rival in rivals.items():
            _note(courses[name], batch, rival, scenario.fault.onset)
        if all(np.isfinite(course.fired).all() for course in courses.values()):
            break
    return courses


def _note(course: Course, batch: Batch, rival: Rival, onset: float) -> None:
    going = np.isinf(course.fired)
    if not going.any():
        return
    if batch.second - batch.seconds >= onset:
        requests, bad = batch.candidate.total()
        course.requests[going] += requests[going]
        course.failed[going] += bad[going]
    course.fired[going & rival.look(batch)] = batch.second


def wald(p0: float, p1: float, alpha: float) -> float:
    """Give the fewest requests that a test needs on average, when both rates are known: ln(1/alpha) / KL(p1‖p0).

    Lower bound on the mean for every test that is wrong with at most `alpha`, however it stops (Wald, "Sequential
    Analysis", 1947; reached by his probability ratio test).
    """
    divergence = p1 * math.log(p1 / p0)
    if p1 < 1:
        divergence += (1 - p1) * math.log((1 - p1) / (1 - p0))
    return math.log(1 / alpha) / divergence


def times_wald(detection: Detection, scenario: Scenario, alpha: float) -> float:
    """Give the mean of the candidate's requests until the decision as a multiple of Wald's bound; nan without one.

    It is quoted only where it holds and can be met: requests are independent, every host has the fault from the start,
    and (nearly) every run was decided. A judge that is wrong more often than `alpha` may well stay below 1.
    """
    fault = scenario.fault
    calm = scenario.environment == ENVIRONMENTS["independent"] and not fault.one_host and not fault.onset
    if not calm or scenario.harmed() <= scenario.errors or detection.power.value < DECIDED:
        return math.nan
    return detection.requests / wald(scenario.errors, scenario.harmed(), alpha)


def _ranked(values: Floats, part: float) -> float:
    """Take the value at a rank (nearest), not between two: half of inf is nothing."""
    return float(np.sort(values)[math.ceil(part * len(values)) - 1]) if len(values) else math.nan
