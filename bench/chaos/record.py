"""What a campaign has found: kept after every fault, so that it can go on another day; told in lines and a table."""

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from bench.chaos.faults import Fault
from config.settings import HOUSE


@dataclass
class Record:
    """What is known of a campaign: a JSON file per commit, seed and part, written anew after every fault."""

    file: Path
    head: Mapping[str, Any]
    outcomes: dict[str, dict[str, Any]]
    own: set[str]

    @classmethod
    def open(cls, folder: Path, commit: str, seed: int, *, fresh: bool, part: int = 0) -> "Record":
        """Read what earlier calls left, those of all parts; `fresh` begins anew. `part` 0: there are no parts."""
        plain = folder / f"{commit}-{seed}.json"
        file = plain.with_suffix(f".{part}.json") if part else plain
        files = [] if fresh else sorted({*folder.glob(f"{commit}-{seed}.*.json"), *folder.glob(plain.name)} - {file})
        known = {it: _faults(it) for it in (*files, file) if it.exists() and not fresh}
        merged = {name: told for faults in known.values() for name, told in faults.items()}
        return cls(file, {"commit": commit, "seed": seed}, merged, set(known.get(file, ())))

    def passed(self, fault: Fault) -> bool:
        """Tell whether a fault has been played and nothing was wrong."""
        known = self.outcomes.get(fault.name)
        return bool(known and known["hit"] and not known["wrong"])

    def keep(self, outcome: Mapping[str, Any]) -> None:
        """Write one down, in one step."""
        name = str(outcome["name"])
        self.outcomes[name] = dict(outcome)
        self.own.add(name)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new = self.file.with_suffix(".new")
        new.write_text(
            json.dumps({**self.head, "faults": {it: self.outcomes[it] for it in sorted(self.own)}}, indent=1)
        )
        new.replace(self.file)


def _faults(file: Path) -> dict[str, dict[str, Any]]:
    faults: dict[str, dict[str, Any]] = json.loads(file.read_text())["faults"]
    return faults


def commit() -> str:
    """Name the code: the commit, and whether something was changed on top."""
    said = ["git", "-C", str(HOUSE), "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    return subprocess.run(said, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def replay(fault: Fault, seed: int) -> str:
    """Say how to play exactly this one again."""
    return f"make chaos SEED={seed} FAULT={fault.kind} STEP={fault.step}"


def line(number: int, count: int, outcome: Mapping[str, Any]) -> str:
    """Tell one fault in one line."""
    mark = "✗" if outcome["wrong"] else "✓" if outcome["hit"] else "·"
    noticed = f", noticed after {outcome['noticed_after']:.1f} s" if outcome["noticed_after"] is not None else ""
    rest = f", at rest after {outcome['rest_after']:.1f} s" if outcome["rest_after"] is not None else ""
    ended = outcome["ended"] if outcome["hit"] else "the point was not reached"
    requests = f"{outcome['requests']} requests, {outcome['failed']} failed"
    return f"{mark} {number}/{count} {outcome['name']}: {ended}{noticed}{rest}; {requests}; {outcome['seconds']:.0f} s"


def table(outcomes: Iterable[Mapping[str, Any]]) -> Table:
    """Count fault × step: passed of played; `!` where something was wrong, `·` where a point was not reached."""
    cells: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for outcome in outcomes:
        kind, _, step = str(outcome["name"]).partition("@")
        cells[column(step), kind].append(outcome)
    kinds = sorted({kind for _, kind in cells})
    drawn = Table("step", *kinds, title="passed of played")
    for step in sorted({step for step, _ in cells}):
        drawn.add_row(step, *(_cell(cells[step, kind]) for kind in kinds))
    return drawn


def column(step: str) -> str:
    """Name the step that a point belongs to: `release:before-done-shift-2` → `release shift-2`."""
    story, _, point = step.partition(":")
    first = point.partition("+")[0]
    words = first.split("-", 2)
    name = words[2] if len(words) > 2 and words[1] in ("intended", "done", "entered") else first.partition("-")[2]
    return f"{story} {name}" + (" twice" if "+" in point else "")


def _cell(some: Sequence[Mapping[str, Any]]) -> str:
    if not some:
        return ""
    good = sum(bool(it["hit"] and not it["wrong"]) for it in some)
    mark = "!" if any(it["wrong"] for it in some) else "·" if good < len(some) else ""
    return f"{good}/{len(some)}{mark}"


def figures(outcomes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say how soon a death was noticed, and how soon all was at rest: median and p99 (nearest rank)."""
    lines = []
    for name, words in (("noticed_after", "death → noticed"), ("rest_after", "fault → at rest")):
        values = sorted(it[name] for it in outcomes if it[name] is not None)
        if values:
            high = values[max(0, -(-99 * len(values) // 100) - 1)]
            lines.append(
                f"{words}: p50 {median(values):.1f} s, p99 {high:.1f} s, max {values[-1]:.1f} s ({len(values)})"
            )
    requests, failed = sum(it["requests"] for it in outcomes), sum(it["failed"] for it in outcomes)
    return [*lines, f"{requests} requests, {failed} failed"]
