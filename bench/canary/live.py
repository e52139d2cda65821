"""The judge on the real stack: `python -m bench.canary.live [--runs 5] [--rate 120] [--only NAME]`.

Releases of the shop under live traffic, each with something wrong (`troubled.py`), and beside them simulated releases
with the same fault, rate, criteria and patience (`story.py`). One throw-away stack is started for it, and taken away.
"""

import argparse
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from adapters.docker_engine import Engine
from bench.canary.scenario import HEALTHY, Fault
from bench.canary.story import story
from bench.canary.troubled import Trouble, Versions
from bench.ground import REQUESTER, SHOP, Ground, ground
from bench.traffic import Load
from domain.canary.criteria import Criteria, Gauge, Latency
from domain.canary.tick import Tick, quantile
from domain.errors import Conflict, Rejected
from domain.facts import Entry, Judged, Looked
from examples.demo import mix

PLACE = "live"
PATIENCE, BAKE = 240, 10  # seconds at one share, and of a bake: compressed, so that a run takes minutes
CRITERIA = Criteria(
    error_floor=0.005, harm_budget=0.005, latency=Latency(),
    gauges={"memory": Gauge()}, warm_up=5,
)  # fmt: skip
SIMULATED = 100  # releases beside each kind, seeds 1 to 100
_ARMS = ("candidate", "stable")
_LATE = 10  # levels of memory, the last ones
_ILL = 3.0  # seconds after the candidate's replicas are there, until one of them falls ill


@dataclass(frozen=True)
class Case:
    """One kind of release, the end it must not have, and its like in the simulation (None: it has none)."""

    name: str
    trouble: Trouble
    wrong: str
    fault: Fault | None = None


CASES = (
    Case("nothing (A/A)", Trouble(), "roll back", HEALTHY),
    Case("5 % errors", Trouble(errors=0.05), "promote", Fault(errors=0.05)),
    Case("25 % slower", Trouble(factor=1.25), "–", Fault(latency=1.25)),  # the budget's edge, where both are right
    Case("50 % slower", Trouble(factor=1.5), "promote", Fault(latency=1.5)),
    Case("one bad replica, 30 % errors", Trouble(sick=0.3), "promote", Fault(errors=0.3, one_host=True)),
    Case("memory leak, 20 kB a request", Trouble(leak=20_000), "promote"),
)


@dataclass(frozen=True)
class Run:
    """How one release was judged: the last decision, after how many looks, at which share, and what it cost.

    `slower`: the median latency, `fuller`: the memory at the end, as a multiple of the stable version's.
    """

    decision: str
    looks: int
    share: int
    failed: int
    requests: int
    host: str | None
    slower: float
    fuller: float


def run_of(entries: Sequence[Entry]) -> Run:
    """Read a release's looks and verdicts; the failures are those of its candidate until the decision."""
    looks = [entry.fact.tick for entry in entries if isinstance(entry.fact, Looked)]
    judged = [entry.fact for entry in entries if isinstance(entry.fact, Judged)]
    cells = [cell for tick in looks for cell in tick.cells if cell.arm == "candidate"]
    last = judged[-1] if judged else None
    return Run(
        decision=last.verdict.decision if last else "none",
        looks=len(looks),
        share=last.share if last else 0,
        failed=sum(cell.bad for cell in cells),
        requests=sum(cell.requests for cell in cells),
        host=last.verdict.host if last else None,
        slower=_ratio([_median(looks, arm) for arm in _ARMS]),
        fuller=_ratio([_memory(looks, arm) for arm in _ARMS]),
    )


def _median(looks: Sequence[Tick], arm: str) -> float:
    seen = [cell.latency() for tick in looks for cell in tick.cells if cell.arm == arm]
    return quantile(np.sum(seen, axis=0), 0.5) if seen else math.nan


def _memory(looks: Sequence[Tick], arm: str) -> float:
    seen = [
        cell.gauges["memory"] for tick in looks for cell in tick.cells if cell.arm == arm and "memory" in cell.gauges
    ]
    return median(seen[-_LATE:]) if seen else math.nan


def _ratio(arms: Sequence[float]) -> float:
    return arms[0] / arms[1] if arms[1] else math.nan


def simulated(fault: Fault, rate: float, seeds: range) -> list[Run]:
    """Play the same kind of release without a stack."""
    seen = CRITERIA.model_copy(update={"gauges": {}})  # there is no engine to tell levels
    return [run_of(story(fault, seed=seed, rps=rate, patience=PATIENCE, bake=BAKE, criteria=seen)) for seed in seeds]


def played(
    here: Ground, cases: Sequence[Case], runs: int, rate: float, say: Callable[[str], None]
) -> dict[str, list[Run]]:
    """Release every kind in turns, all the while under load, each beside the very first version.

    Whatever was promoted is taken back before the next one: else that would be compared with a version that is slower
    or fuller itself.
    """
    from flows.release import release  # noqa: PLC0415  # Prefect reads where its server is when it is imported
    from flows.rollback import rollback  # noqa: PLC0415  # as above

    _configure(here.folder / "config")
    versions, journal = Versions(here.repository), here.house.journal
    found: dict[str, list[Run]] = {case.name: [] for case in cases}
    release(SHOP, versions.commit(Trouble()), PLACE, REQUESTER, "bench")
    with Load(here.place(PLACE)[1].port, rate, mix(), users=400, seed=5):
        time.sleep(5)
        for number in range(1, runs + 1):
            for case in cases:
                tag = versions.commit(case.trouble)
                watcher = threading.Thread(target=_make_ill, args=(here, tag), daemon=True)
                if case.trouble.sick:
                    watcher.start()
                try:
                    release(SHOP, tag, PLACE, REQUESTER, "bench")
                except (Rejected, Conflict) as error:
                    say(f"  {error.message.splitlines()[0][:120]}")
                run = run_of(journal.entries(release=here.newest()))
                found[case.name].append(run)
                where = f"{run.decision} at {run.share / 100:g} %"
                say(f"{number}/{runs} {case.name}: {where} after {run.looks} looks, {run.failed} failed")
                if run.decision == "promote":
                    rollback(SHOP, PLACE, "the next one is compared with the first", REQUESTER)
    return found


def _make_ill(here: Ground, tag: str) -> None:
    """Wait until the version's replicas are there, and send the second one a signal."""
    api, end = Engine(here.house.settings.engine.host).api, time.monotonic() + 120
    label = {"label": [f"interlock.version={tag.removeprefix('v')}", f"interlock.environment={PLACE}"]}
    while time.monotonic() < end:
        names = {row["Names"][0]: row["Id"] for row in api.containers(filters=label)}
        if len(names) > 1:
            time.sleep(_ILL)
            api.kill(names[max(names)], signal="SIGUSR1")
            return
        time.sleep(0.2)


def _configure(config: Path) -> None:
    """Give the environment no seats and a short bake, and the service the criteria of the bench."""
    profile, service = config / "environments" / f"{PLACE}.yaml", config / "services" / f"{SHOP}.yaml"
    known = yaml.safe_load(profile.read_text())
    known.pop("seats", None)
    known["rollout"] |= {"patience": PATIENCE, "bake": BAKE}
    profile.write_text(yaml.safe_dump(known, sort_keys=False))
    told = yaml.safe_load(service.read_text())
    told["criteria"] = CRITERIA.model_dump(mode="json", exclude_defaults=True)
    told["environments"][PLACE]["measure"] = {"gauges": "docker"}
    service.write_text(yaml.safe_dump(told, sort_keys=False))


def table(cases: Sequence[Case], live: dict[str, list[Run]], rate: float) -> Table:
    """Draw what was seen beside the simulation: ends, and the median (least to most) of looks and failures."""
    cells = ("ends", "looks", "failed", "p50 ×", "memory ×")
    drawn = Table(
        "what is wrong", "must not be", *(f"{where} {it}" for where in ("live:", "simulated:") for it in cells)
    )
    for case in cases:
        beside = simulated(case.fault, rate, range(1, SIMULATED + 1)) if case.fault else []
        drawn.add_row(case.name, case.wrong, *_cells(live[case.name]), *_cells(beside))
    return drawn


def _cells(runs: Sequence[Run]) -> tuple[str, ...]:
    ends = Counter(f"{run.decision} {run.host.rpartition('-')[2]}" if run.host else run.decision for run in runs)
    told = ", ".join(f"{end}: {count}" for end, count in ends.most_common()) or "–"
    levels = (_times([run.slower for run in runs]), _times([run.fuller for run in runs]))
    return told, _spread([run.looks for run in runs]), _spread([run.failed for run in runs]), *levels


def _times(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})" if any(map(math.isfinite, ratios)) else "–"


def _spread(counts: Sequence[int]) -> str:
    return f"{math.floor(median(counts))} ({min(counts)}–{max(counts)})" if counts else "–"


def main() -> int:
    """Play, and print the table."""
    asked = argparse.ArgumentParser(prog="python -m bench.canary.live", description=__doc__)
    asked.add_argument("--runs", type=int, default=5, help="releases of each kind")
    asked.add_argument("--rate", type=float, default=120.0, help="requests per second, all in all")
    asked.add_argument("--only", choices=[case.name for case in CASES], help="leave the others out")
    options = asked.parse_args()
    cases = [case for case in CASES if options.only in (None, case.name)]
    console = Console(width=210)
    with ground(console.print) as here:
        live = played(here, cases, options.runs, options.rate, console.print)
    console.print(table(cases, live, options.rate))
    return 0


if __name__ == "__main__":
    sys.exit(main())
