"""How many ticks a second `interlock judge` answers in a pipe: `python -m bench.canary.speed`.

Ticks are those of the guide's example: two arms of one host, three latency buckets, a gauge and a KPI, at a share that
never ends. Starting Python and reading the plan are measured apart, with a single tick, and taken off. Where others use
the machine as well only the second of a core says something.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time

import numpy as np
from rich.console import Console

from config.settings import HOUSE

PLAN = (
    "steps: [1000, 10000]\nat_most: 1000000\ncriteria: {harm_budget: 0.0001, gauges: {cpu: {}}, kpis: {orders: {}}}\n"
)


def main() -> int:
    """Measure and print; every figure is the median of so many rounds, beside all of them."""
    parser = argparse.ArgumentParser(prog="python -m bench.canary.speed", description=__doc__)
    parser.add_argument("--ticks", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hosts", type=int, default=1, help="of each arm")
    options = parser.parse_args()
    text = "".join(_ticks(options.ticks, options.hosts))
    first = text[: text.index("\n") + 1]
    walls, cpus = [], []
    for _ in range(options.rounds):
        (wall, cpu), (start_wall, start_cpu) = _run(text, options.ticks), _run(first, 1)
        walls.append(options.ticks / (wall - start_wall))
        cpus.append(options.ticks / (cpu - start_cpu))
    show = Console(highlight=False).print
    about = f"{options.ticks} ticks, {options.hosts} host(s) an arm, {os.cpu_count()} cores"
    show(f"{about}, load average {os.getloadavg()[0]:.1f}, Python {platform.python_version()}")
    for what, told in (("second of the clock", walls), ("second of a core", cpus)):
        show(f"ticks a {what}: {np.median(told):,.0f} (rounds: {', '.join(f'{it:,.0f}' for it in told)})")
    return 0


def _ticks(count: int, hosts: int) -> list[str]:
    random, told = np.random.default_rng(1), []
    for t in range(count):
        arms = {
            arm: {f"{arm}-{host}": _host(random, rps // hosts) for host in range(hosts)}
            for arm, rps in (("canary", 250), ("baseline", 2250))
        }
        told.append(json.dumps({"t": float(t), "arms": arms}) + "\n")
    return told


def _host(random: np.random.Generator, mean: int) -> dict[str, object]:
    requests = int(random.poisson(mean))
    five, ten, thirty = random.multinomial(requests, (0.6, 0.3, 0.1)).tolist()
    return {
        "requests": requests,
        "bad": int(random.binomial(requests, 0.001)),
        "latency_ms": [[5, five], [10, ten], [30, thirty]],
        "gauges": {"cpu": round(float(random.uniform(0.3, 0.5)), 3)},
        "kpi": {"orders": int(random.poisson(requests / 40))},
    }


def _run(text: str, count: int) -> tuple[float, float]:
    """Judge them in a pipe; return seconds of the clock and of a core."""
    plan = HOUSE / ".interlock" / "bench-speed.yaml"
    plan.parent.mkdir(exist_ok=True)
    plan.write_text(PLAN, encoding="utf-8")
    before, begun = os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "cli.app", "judge", "--plan", str(plan)],
        input=text, stdout=subprocess.PIPE, text=True, check=True, cwd=HOUSE,
    )  # fmt: skip
    wall, after = time.perf_counter() - begun, os.times()
    assert done.stdout.count("\n") == count
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    sys.exit(main())
