"""The campaign: fault after fault on one stack after the other, each told as it ends."""

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.chaos import play
from bench.chaos.faults import Fault
from bench.chaos.record import Record, figures, line, replay, table
from bench.chaos.scene import Scene
from domain.release.explain import story

RENEWED = 40  # faults on one stack: its journal grows, and every look at it takes longer


def run(folder: Path, wanted: Sequence[Fault], record: Record, seed: int, *, keep: bool = False) -> int:
    """Play what has not passed yet, and say what came of it; return the exit code: 1 when something is wrong."""
    left: Sequence[Fault] = [fault for fault in wanted if not record.passed(fault)]
    _say(f"{len(wanted)} faults, {len(wanted) - len(left)} of them have passed before: {record.file}")
    while left:
        left = _on_one_stack(folder, left, record, seed, len(wanted), keep)
    return conclude(wanted, record, seed)


def _on_one_stack(
    folder: Path, left: Sequence[Fault], record: Record, seed: int, count: int, keep: bool
) -> Sequence[Fault]:
    """Play on one stack until it is worn, or something went wrong on it; return what is left."""
    scene, began = Scene(folder), time.monotonic()
    with play.opened(scene):
        _say(f"· a fresh stack, serving after {time.monotonic() - began:.0f} s")
        for number, fault in enumerate(left[:RENEWED], start=1):
            outcome = play.play(scene, fault, seed)
            record.keep(outcome.data())
            _say(line(count - len(left) + number, count, outcome.data()))
            for text in outcome.wrong:
                _say(f"    {text}")
            if outcome.wrong or keep:
                kept = _keep_evidence(scene, fault, record.file.with_suffix(""))
                _say(f"    {replay(fault, seed)}   journal and logs: {kept}")
            if not play.usable(scene, outcome):
                return left[number:]
    return left[RENEWED:]


def _keep_evidence(scene: Scene, fault: Fault, folder: Path) -> Path:
    """Keep what tells the story: the journal in sentences, and the logs of what runs."""
    target = folder / fault.name.replace(":", "_")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for log in scene.stack.folder.glob("*/*.log"):
        shutil.copy(log, target)
    told = story(scene.house.journal.entries())
    (target / "journal.txt").write_text("".join(f"{' | '.join(words)}\n" for words in told))
    return target


def conclude(wanted: Sequence[Fault], record: Record, seed: int) -> int:
    """Draw the table, name what is wrong with the command that shows it again; return the exit code."""
    played = [record.outcomes[fault.name] for fault in wanted if fault.name in record.outcomes]
    Console(width=None if sys.stdout.isatty() else 240).print(table(played))
    for text in figures(played):
        _say(text)
    wrong = [fault for fault in wanted if record.outcomes.get(fault.name, {}).get("wrong")]
    for fault in wrong:
        _say(f"✗ {replay(fault, seed)}")
        for text in record.outcomes[fault.name]["wrong"]:
            _say(f"    {text}")
    missed = [str(it["name"]) for it in played if not it["hit"]]
    for name in missed:
        _say(f"· not reached: {name}")
    _say(f"{len(played)} faults of {len(wanted)}: {len(wrong)} violations, {len(missed)} points not reached")
    return 1 if wrong else 0


def _say(text: str) -> None:
    print(text, flush=True)
