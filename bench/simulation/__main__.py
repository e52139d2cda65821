"""Simulate releases and what goes wrong with them: `python -m bench.simulation --releases N --seed S [--case K]`.

Exit code 1 when an invariant is broken; every such case is printed with the command that plays it again.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import count

from bench.simulation.case import Result, live
from bench.simulation.mutants import MUTANTS, survives

_AT_ONCE = 25  # cases that a worker lives through before it says how it went


@dataclass
class Tally:
    """What came of many cases."""

    releases: int = 0
    cases: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: list[Result] = field(default_factory=list)

    def add(self, results: list[Result]) -> None:
        """Count what came of some more."""
        for result in results:
            self.cases += 1
            self.releases += result.releases
            self.outcomes += result.outcomes
            self.broken += [result] if result.broken else []

    def table(self) -> Iterator[str]:
        """Render faults against outcomes."""
        ends = sorted({end for _, end in self.outcomes})
        yield f"| {'fault':<42} | " + " | ".join(f"{end:>18}" for end in ends) + " |"
        yield f"|{'-' * 44}|" + "|".join("-" * 20 for _ in ends) + "|"
        for fault in sorted({fault for fault, _ in self.outcomes}):
            counts = (self.outcomes[fault, end] for end in ends)
            yield f"| {fault:<42} | " + " | ".join(f"{number or '':>18}" for number in counts) + " |"


def main() -> int:
    """Simulate, print, and tell whether everything held."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulation", description=__doc__)
    parser.add_argument("--releases", type=int, default=10_000, help="how many, at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, help="play one case again, and tell its story")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--mutants", action="store_true", help="take one mechanism away at a time: who notices?")
    options = parser.parse_args()
    if options.mutants:
        return mutants(options.seed, options.releases, options.processes)
    if options.case is not None:
        return replay(options.seed, options.case)
    began = time.monotonic()
    tally = simulate(options.seed, options.releases, options.processes)
    took = time.monotonic() - began
    print("\n".join(tally.table()))
    rate, many = tally.releases / took, options.processes
    print(f"\n{tally.releases} releases in {tally.cases} lives, {took:.0f} s: {rate:.0f} a second on {many} processes")
    for result in tally.broken:
        print(f"\npython -m bench.simulation --seed {result.seed} --case {result.number}")
        print("\n".join(f"  {said}" for said in result.broken[:4]))
    print(f"\n{len(tally.broken)} lives broke an invariant")
    return 1 if tally.broken else 0


def simulate(seed: int, releases: int, processes: int) -> Tally:
    """Live cases, from the first one on, until so many releases have been simulated."""
    tally, numbers = Tally(), count()
    with ProcessPoolExecutor(processes) as pool:
        while tally.releases < releases:
            batches = [[next(numbers) for _ in range(_AT_ONCE)] for _ in range(4 * processes)]
            for results in pool.map(_some, [seed] * len(batches), batches):
                tally.add(results)
    return tally


def replay(seed: int, number: int) -> int:
    """Live one case again, and tell its story."""
    result = live(seed, number, telling=True)
    print("\n".join(result.story))
    print("\n".join(result.broken) or "nothing is wrong")
    return 1 if result.broken else 0


def mutants(seed: int, releases: int, processes: int) -> int:
    """Take one mechanism away at a time, and tell which invariant notices, after how many releases."""
    with ProcessPoolExecutor(processes) as pool:
        found = list(pool.map(survives, MUTANTS, [seed] * len(MUTANTS), [releases] * len(MUTANTS)))
    print("| taken away | noticed by | releases until then |\n|---|---|---|")
    for name, (noticed, number) in zip(MUTANTS, found, strict=True):
        print(f"| {name} | {noticed or 'NOBODY'} | {number} |")
    return 0 if all(noticed for noticed, _ in found) else 1


def _some(seed: int, numbers: list[int]) -> list[Result]:
    return [live(seed, number) for number in numbers]


if __name__ == "__main__":
    sys.exit(main())
