"""Forward and back again under load: does anybody notice, how soon is the new version out, and when is that sure?"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from bench.ground import REQUESTER, SHOP, Ground, between, seconds_of_steps
from bench.traffic import Event, Load, Report
from domain.facts import Entered, Entry, Intended
from examples.demo import mix, rows_missing
from flows.release import release
from flows.rollback import rollback

OLD, NEW = "v1.0.0", "v1.1.0"
PLACE = "cycles"
RATES = range(100, 401, 50)  # requests per second that are tried
PROBE, WITHIN = 5.0, 250.0  # each for so many seconds; p99 in ms that still counts as carried
PART = 0.6  # of the capacity found


@dataclass(frozen=True)
class Way:
    """One rollback: seconds from its decision, milliseconds from the order to shift, seconds per step."""

    verified: float
    from_decision: float
    from_order: float
    steps: Mapping[str, float]


@dataclass(frozen=True)
class Cycles:
    """What was measured."""

    capacity: int
    rate: int
    ways: Sequence[Way]
    report: Report
    rows_lost: int

    def markdown(self) -> str:
        """Draw the tables."""
        found = {0: "below 100", max(RATES): f"at least {self.capacity}"}.get(self.capacity, str(self.capacity))
        orders, waits = [way.from_order for way in self.ways], [way.from_decision for way in self.ways]
        verified = [way.verified for way in self.ways]
        names = dict.fromkeys(name for way in self.ways for name in way.steps)
        lines = [
            f"Cycles: {len(self.ways)}, each a release of {NEW} and an operator's rollback to {OLD}; blue-green, "
            f"2 replicas, at {self.rate} requests/s ({PART:.0%} of the capacity found: {found}/s). "
            f"{NEW} is built, published and migrated in the first cycle only.\n",
            "| under load | total |",
            "|---|---:|",
            f"| requests | {self.report.sent} |",
            f"| **failed** (goal 0) | **{self.report.failed}** |",
            f"| retried by the client | {self.report.client_retries} |",
            f"| acknowledged orders that are missing | {self.rows_lost} |",
            f"| latency p50 / p99 | {self.report.p50:.0f} / {self.report.p99:.0f} ms |",
            f"\n| rollback of the finished release | p50 | p99 of {len(self.ways)} | max |",
            "|---|---:|---:|---:|",
            _row(f"order to shift → last request started on {NEW}", orders, "ms", 0),
            _row(f"decision → last request started on {NEW}", waits, "s", 2),
            _row("**decision → verified back** (goal ≤ 5 s)", verified, "s", 2),
            "\n| where the rollback's time goes | median |",
            "|---|---:|",
            *(f"| {name} | {median(way.steps.get(name, 0.0) for way in self.ways):.2f} s |" for name in names),
        ]
        return "\n".join(lines)


def measure(ground: Ground, cycles: int, say: Callable[[str], None]) -> Cycles:
    """Release the old version, find out what it carries, and go forward and back `cycles` times at 60 % of that."""
    port = ground.place(PLACE)[1].port
    say(f"cycles: releasing {OLD}")
    release(SHOP, OLD, PLACE, REQUESTER, "bench")
    carried = capacity(port, say)
    rate = round(PART * (carried or min(RATES) / 2))
    seen: list[tuple[str, float, float]] = []
    with Load(port, rate, mix(), users=400, seed=11, events=True) as load:
        time.sleep(2)
        for number in range(1, cycles + 1):
            began = time.time()
            release(SHOP, NEW, PLACE, REQUESTER, "bench")
            ground.insist_on(PLACE, NEW.removeprefix("v"))
            rollback(SHOP, PLACE, "bench", REQUESTER)
            ground.insist_on(PLACE, OLD.removeprefix("v"))
            seen.append((ground.newest(), began, time.time()))
            now = load.snapshot()
            say(f"cycles: {number}/{cycles}: {now.ok + now.failed} requests, {now.failed} failed")
        time.sleep(1)
        report = load.stop()
    journal = ground.house.journal
    ways = [way(journal.entries(release=name), _between(report.events, *times)) for name, *times in seen]
    dsn = ground.house.secrets.resolve(ground.place(PLACE)[1].database or "")
    return Cycles(carried, rate, ways, report, rows_missing(dsn, report))


def capacity(port: int, say: Callable[[str], None]) -> int:
    """Step up until a request fails or p99 leaves 250 ms; return the last rate that was carried, 0 when none was."""
    carried = 0
    for rate in RATES:
        with Load(port, rate, mix(), users=400, seed=rate) as load:
            time.sleep(PROBE)
        report = load.stop()
        say(f"cycles: {rate} requests/s: {report.failed} failed, p99 {report.p99:.0f} ms")
        if report.failed or report.p99 >= WITHIN:
            break
        carried = rate
    return carried


def way(entries: Sequence[Entry], events: Sequence[Event]) -> Way:
    """Read one rollback from its release's journal and the requests that were due meanwhile."""
    start = next(i for i, entry in enumerate(entries) if _entered(entry, "rolling back"))
    decided, after = entries[start].at, entries[start:]
    ordered = next(e.at for e in after if isinstance(e.fact, Intended) and e.fact.verb == "shift")
    verified = next(entry.at for entry in after if _entered(entry, "rolled back"))
    last = max(event.start for event in events if event.version == NEW.removeprefix("v"))
    return Way(
        verified=between(decided, verified),
        from_decision=last - datetime.fromisoformat(decided).timestamp(),
        from_order=1000 * (last - datetime.fromisoformat(ordered).timestamp()),
        steps=seconds_of_steps(after),
    )


def _entered(entry: Entry, phase: str) -> bool:
    return isinstance(entry.fact, Entered) and entry.fact.phase == phase


def _between(events: Sequence[Event], began: float, ended: float) -> list[Event]:
    return [event for event in events if began <= event.start <= ended]


def _row(name: str, values: Sequence[float], unit: str, places: int) -> str:
    ordered = sorted(values)
    high = ordered[math.ceil(0.99 * len(ordered)) - 1]  # nearest rank: below 100 cycles it is the maximum
    cells = (f"{value:.{places}f} {unit}" for value in (median(values), high, ordered[-1]))
    return f"| {name} | {' | '.join(cells)} |"
