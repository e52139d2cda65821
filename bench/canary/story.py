"""One release of synthetic traffic, judged second by second, as its journal: `python -m bench.canary.story errors`.

Prints the chart that people see of it, as SVG. The same seed gives the same bytes.
"""

import argparse
import sys
from itertools import pairwise

from adapters.memory.clock import MemoryClock
from adapters.memory.journal import MemoryJournal
from bench.canary.scenario import ENVIRONMENTS, HEALTHY, Fault, Scenario
from bench.canary.ticks import tick
from bench.canary.world import World
from domain.canary.account.chart import draw
from domain.canary.account.headline import Names
from domain.canary.account.trace import trace
from domain.canary.calibration import known
from domain.canary.criteria import Criteria
from domain.canary.judge import Judge, hold
from domain.canary.tick import Tick
from domain.canary.verdict import Verdict
from domain.facts import Entry, Judged, Looked

FAULTS = {
    "good": HEALTHY,
    "errors": Fault(errors=0.05),
    "late": Fault(errors=0.05, onset=60),
    "slow": Fault(latency=1.25),
}
STEPS = (1_000, 5_000, 10_000)
CRITERIA = Criteria(error_floor=0.005, harm_budget=0.005, warm_up=10)
RELEASE = "shop-v1.2.0-3f9c01"
NAMES = Names.of("1.2.0", "1.1.0")


def story(
    fault: Fault, *, seed: int = 1, rps: float = 150, patience: int = 120, bake: int = 60, criteria: Criteria = CRITERIA
) -> tuple[Entry, ...]:
    """Play a release until it is promoted, sent back or held, and return the looks and verdicts of its journal."""
    journal = MemoryJournal(clock := MemoryClock())
    judge = Judge(criteria, known((), "candidate", criteria.spread))

    def write(fact: Looked | Judged) -> None:
        journal.append(fact, actor="bench", release=RELEASE, service="shop", environment="production")

    for share, following in pairwise((*STEPS, 10_000)):
        judge.enter(share, following)
        verdict = Verdict(decision="continue", reasons=("",))
        for second, seen in enumerate(_ticks(fault, seed, rps, share), start=1):
            clock.sleep(1)
            write(Looked(share=share, next_share=following, tick=seen))
            verdict = _ended(judge.look(seen), share, second, patience, bake)
            if verdict.decision != "continue":
                break
        write(Judged(share=share, verdict=verdict))
        if verdict.decision != "promote":
            break
        clock.sleep(4)
    return journal.entries(service="shop")


def _ended(verdict: Verdict, share: int, second: int, patience: int, bake: int) -> Verdict:
    if share == 10_000:
        baked = second >= bake and verdict.decision == "continue"
        return verdict.model_copy(update={"decision": "promote"}) if baked else verdict
    return hold(verdict, second) if second >= patience and verdict.decision == "continue" else verdict


def _ticks(fault: Fault, seed: int, rps: float, share: int) -> list[Tick]:
    whole = share == 10_000
    scenario = Scenario(
        rps=2 * rps if whole else rps, share=0.5 if whole else share / 10_000, errors=0.001, candidates=2, stables=2,
        environment=ENVIRONMENTS["independent"], fault=fault, look=1,
    )  # fmt: skip
    batches = World(scenario, seed * 10 + share, 1, histograms=True).release(600)
    ticks = (tick(batch, 0) for batch in batches)
    return [_alone(one) if whole else one for one in ticks]


def _alone(one: Tick) -> Tick:
    return one.model_copy(update={"cells": tuple(cell for cell in one.cells if cell.arm == "candidate")})


def main() -> int:
    """Print one story."""
    asked = argparse.ArgumentParser(prog="bench.canary.story", description=__doc__)
    asked.add_argument("fault", choices=FAULTS)
    asked.add_argument("--seed", type=int, default=1)
    options = asked.parse_args()
    entries = story(FAULTS[options.fault], seed=options.seed)
    print(draw(trace(entries, "production", Judge(CRITERIA)), NAMES), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
