"""How much healthy replicas differ: measured before a release, and paid for by wider margins.

Anytime validity covers looking often; it does not cover replicas that are never quite alike: for them alone margins are
widened by what was seen of them. docs/judge.md says how often healthy releases with such replicas are sent back.
"""

import math
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from domain.canary.eprocess import Floats
from domain.canary.tick import BOUNDARIES, Arm, Cell, Tick
from domain.value import Value

BLOCK = 300  # seconds: noise between replicas lasts for minutes, so a block is one observation of it
DEFAULT_ERRORS, DEFAULT_LATENCY = 0.25, 0.05
"""Standard deviations of log error rate and log latency between replicas, where nothing was measured."""
_FEWEST_BLOCKS, _FEWEST_REPLICAS = 3, 2
_FAR = 2.33  # standard deviations: 99 % of a normal distribution, one-sided
_NEAR = 1.645  # 95 %


class Spread(Value):
    """Standard deviations between healthy replicas, of log error rate and of log latency, and where they are from."""

    errors: float
    latency: float
    source: str

    def factor(self, candidates: int, stable: int) -> float:
        """Scale from one replica to the difference of two arms' means."""
        return math.sqrt(1 / max(candidates, 1) + 1 / max(stable, 1))

    def widened(self, ratio: float, candidates: int, stable: int) -> float:
        """Widen a tolerated ratio of error rates, so that noise alone exceeds it in one case of a hundred."""
        return ratio * math.exp(_FAR * self.errors * self.factor(candidates, stable))

    def slower(self, margin: float, candidates: int, stable: int) -> float:
        """Widen a tolerated slowdown in the same way."""
        return (1 + margin) * math.exp(_FAR * self.latency * self.factor(candidates, stable)) - 1

    def tightened(self, candidates: int, stable: int) -> float:
        """Shrink what must be ruled out, so that noise alone hides harm in one case of twenty."""
        return math.exp(-_NEAR * self.errors * self.factor(candidates, stable))


def assumed(errors: float | None = None) -> Spread:
    """Give the careful default, or what somebody declared of error rates."""
    source = "a careful default: nothing was measured" if errors is None else "declared in the criteria"
    return Spread(errors=DEFAULT_ERRORS if errors is None else errors, latency=DEFAULT_LATENCY, source=source)


def known(ticks: Iterable[Tick], arm: Arm, declared: float | None) -> Spread:
    """Measure; what somebody declared of error rates stands in place of what was measured of them."""
    seen = measured(ticks, arm)
    if declared is None:
        return seen
    return seen.model_copy(update={"errors": declared, "source": f"declared in the criteria; latency: {seen.source}"})


def measured(ticks: Iterable[Tick], arm: Arm) -> Spread:
    """Measure how replicas of one version differed, by the method of moments over blocks of five minutes.

    The Poisson part of the variance is taken off. Where fewer than two replicas or three blocks were seen the default
    is returned, which says so.
    """
    blocks: dict[int, dict[str, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for tick in ticks:
        for cell in tick.cells:
            if cell.arm == arm and cell.requests:
                blocks[tick.second // BLOCK][cell.replica].append(cell)
    full = [list(replicas.values()) for replicas in blocks.values() if len(replicas) >= _FEWEST_REPLICAS]
    if len(full) < _FEWEST_BLOCKS:
        why = f"{len(full)} blocks of five minutes with two replicas or more; {_FEWEST_BLOCKS} are needed"
        return Spread(errors=DEFAULT_ERRORS, latency=DEFAULT_LATENCY, source=f"default: {why}")
    replicas = max(len(block) for block in full)
    source = f"measured over {len(full)} blocks of five minutes, {replicas} replicas"
    return Spread(errors=_between_rates(full), latency=_between_latencies(full), source=source)


def _between_rates(blocks: list[list[list[Cell]]]) -> float:
    """Estimate the standard deviation of log error rates; 0 where no block has an error."""
    told = []
    for block in blocks:
        requests = np.array([sum(cell.requests for cell in cells) for cells in block], dtype=np.float64)
        bad = np.array([sum(cell.bad for cell in cells) for cells in block], dtype=np.float64)
        if bad.any():
            told.append(float(excess(requests, bad)))
    return math.sqrt(max(0.0, float(np.mean(told)))) if told else 0.0


def excess(requests: Floats, bad: Floats) -> Floats:
    """Estimate the variance of log error rates between replicas, (..., H), beyond Poisson's; it may be negative."""
    rate = bad.sum(axis=-1, keepdims=True) / np.maximum(requests.sum(axis=-1, keepdims=True), 1.0)
    expected = requests * rate
    mean = np.maximum(expected.mean(axis=-1), 1e-12)
    variance: Floats = (((bad - expected) ** 2).sum(axis=-1) / (bad.shape[-1] - 1) - mean) / mean**2
    return variance


def _between_latencies(blocks: list[list[list[Cell]]]) -> float:
    """Estimate the standard deviation of mean log latencies."""
    middle = np.log(np.concatenate([BOUNDARIES[:1], BOUNDARIES]))
    told = []
    for block in blocks:
        means, noise = [], []
        for cells in block:
            histogram = sum((cell.latency() for cell in cells), start=np.zeros(len(middle)))
            if total := histogram.sum():
                mean = float(histogram @ middle / total)
                means.append(mean)
                noise.append(float(histogram @ (middle - mean) ** 2 / total / total))
        if len(means) >= _FEWEST_REPLICAS:
            told.append(float(np.var(means, ddof=1)) - float(np.mean(noise)))
    return math.sqrt(max(0.0, float(np.mean(told)))) if told else 0.0
