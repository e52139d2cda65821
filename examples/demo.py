"""Five chapters of releasing the shop, on real parts and under live traffic; `make demo` plays them.

Every chapter goes through the same doors as a person: the Prefect deployments and the `interlock` command. The last
line printed is one JSON object with the figures of the table above it; the exit code is 0 only when every chapter
ended as it must, no request failed but v1.2.0's own, and no acknowledged row is missing.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from adapters.connect import House, open_house
from bench.traffic import Call, Load, Report
from config.settings import HOUSE
from deployments.stack import Stack
from domain.errors import ReleaseError
from domain.facts import Done, Entry, Intended, Judged
from domain.release import standing
from domain.release.explain import sentence
from domain.release.state import OVER, fold
from examples.shop.traffic import MIX

RATE = 150.0
SHOP = "shop"
CONSOLE = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


@dataclass
class Chapter:
    """One chapter and how it ended."""

    title: str
    outcome: str = ""
    as_it_must: bool = False
    seconds: float = 0.0
    served: int = 0
    failed: int = 0
    rollback_ms: float | None = None
    rows_lost: int = 0


@dataclass
class Story:
    """The demonstration: one stack, one stream of traffic, five chapters."""

    stack: Stack
    house: House
    interactive: bool
    chapters: list[Chapter] = field(default_factory=list)
    traffic: Load | None = None
    read: int = 0
    _before: tuple[int, int] = (0, 0)

    @contextmanager
    def chapter(self, title: str) -> Iterator[Chapter]:
        """Time a chapter and count the traffic that passed while it was played."""
        CONSOLE.rule(f"[bold]{title}")
        chapter, began = Chapter(title), time.monotonic()
        self.chapters.append(chapter)
        self._before = self.counted()
        yield chapter
        time.sleep(1)
        sent, failed = self.counted()
        chapter.served, chapter.failed = sent - self._before[0], failed - self._before[1]
        chapter.seconds = time.monotonic() - began
        mark = "[green]✓[/]" if chapter.as_it_must else "[red]✗[/]"
        CONSOLE.print(f"  {mark} {chapter.outcome}  [dim]{chapter.served} requests, {chapter.failed} failed[/]")

    def counted(self) -> tuple[int, int]:
        """Count requests answered and failed so far."""
        if self.traffic is None:
            return 0, 0
        now = self.traffic.snapshot()
        return now.ok + now.failed, now.failed

    def interlock(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Type a command as a person would."""
        CONSOLE.print(f"  [bold cyan]$ interlock {' '.join(words)}[/]")
        command = [str(Path(sys.executable).with_name("interlock")), *words]
        return subprocess.run(command, capture_output=True, text=True, env=self.env(), check=False, timeout=600)

    def env(self) -> dict[str, str]:
        """Point a command at this stack."""
        return {**os.environ, **self.stack.environment()}

    def release(self, ref: str, reason: str) -> str:
        """Start a release and return its id once the journal has it."""
        known = set(self.releases())
        done = self.interlock("release", SHOP, "--ref", ref, "--requester", "dev", "--reason", reason, "--no-wait")
        if done.returncode:
            raise SystemExit(f"interlock release failed:\n{done.stdout}{done.stderr}")
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if new := set(self.releases()) - known:
                return new.pop()
            time.sleep(0.2)
        raise SystemExit(f"no release appeared in the journal: see {self.stack.folder}/runner.log")

    def releases(self) -> list[str]:
        """List the releases in the journal."""
        return [entry.release for entry in self.house.journal.entries(service=SHOP, kinds=("opened",))]

    def follow(self, release: str, until: Callable[[str], bool], patience: float = 420) -> str:
        """Print the journal as it grows until the release is in a phase that is wanted; return the phase."""
        phase, end = "", time.monotonic() + patience
        while time.monotonic() < end:
            for entry in self.house.journal.entries(release=release, after=self.read):
                self.read = entry.seq
                if (said := sentence(entry.fact)) and entry.fact.kind not in ("announced", "lease returned"):
                    where = f"{entry.environment:<11}"
                    CONSOLE.print(f"  [dim]{entry.at[11:19]} {where}[/] {said.splitlines()[0][:140]}", markup=True)
            state = fold(self.house.journal.entries(release=release)).get(release)
            phase = str(state.phase) if state else ""
            if until(phase):
                return phase
            time.sleep(0.3)
        raise SystemExit(f"{release} is still {phase} after {patience:.0f} s: interlock explain {release}")

    def approve(self, release: str) -> None:
        """Have two people sign, or let the person at the keyboard do it."""
        if self.follow(release, lambda phase: phase == "awaiting approval" or phase in OVER) in OVER:
            return
        if self.interactive:
            ui = self.house.settings.prefect.ui
            CONSOLE.print("\n[bold]Your turn.[/] In another terminal:")
            CONSOLE.print(f"  export INTERLOCK_SETTINGS={self.stack.folder}/settings.yaml")
            for name in ("ada", "grace"):
                CONSOLE.print(f"  interlock approve {release} --as {name} --key {self.stack.folder}/keys/{name}")
            CONSOLE.print(f"or add --print and paste the text into the resume dialog of the run at {ui}\n")
            return
        for name in ("ada", "grace"):
            key = str(self.stack.folder / "keys" / name)
            done = self.interlock("approve", release, "--as", name, "--key", key, "--yes")
            if done.returncode:
                raise SystemExit(f"interlock approve failed:\n{done.stdout}{done.stderr}")

    def serving(self, environment: str = "production") -> str:
        """Tell which version serves by the journal."""
        serving = standing.fold(self.house.journal.entries(service=SHOP, environment=environment)).serving
        return serving.deployment.version if serving else "nothing"

    def carry(self, ref: str, reason: str) -> tuple[str, str]:
        """Release a tag with its approvals; return (release, phase at the end)."""
        release = self.release(ref, reason)
        self.approve(release)
        return release, self.follow(release, lambda phase: phase in OVER or phase == "stuck", 1800)


def play(story: Story) -> None:
    """Play the five chapters."""
    with story.chapter("1  v1.0.0 goes dev → staging → production") as chapter:
        _, phase = story.carry("v1.0.0", "the first release")
        chapter.as_it_must = (phase, story.serving()) == ("released", "1.0.0")
        chapter.outcome = f"{phase}; production serves {story.serving()}"
    story.traffic = Load(18080, RATE, mix(), users=400, seed=7, events=True)
    story.traffic.start()
    time.sleep(3)
    with story.chapter("2  v1.1.0: a good change, an expand migration, another greeting") as chapter:
        greet(story.house.settings.config, "Welcome back aboard")
        shown = story.interlock("plan", SHOP, "--ref", "v1.1.0", "--requester", "dev")
        CONSOLE.print(shown.stdout)
        release, phase = story.carry("v1.1.0", "order notes")
        chapter.as_it_must = (phase, story.serving()) == ("released", "1.1.0")
        chapter.outcome = f"{phase}; production serves {story.serving()}"
    with story.chapter("3  v1.2.0 fails 5 % of requests on one endpoint") as chapter:
        release, phase = story.carry("v1.2.0", "prices with thousands separators")
        judged = verdicts(story.house.journal.entries(release=release))
        stopped_at = judged[-1].share if judged else None
        chapter.as_it_must = (phase, story.serving(), stopped_at) == ("rolled back", "1.1.0", 1000)
        chapter.rollback_ms = back_again(story.house.journal.entries(release=release))
        why = judged[-1].verdict.reasons[0] if judged else "no verdict"
        chapter.outcome = f"{phase} at {(stopped_at or 0) / 100:g} %: {why}"
    with story.chapter("4  v1.3.0's migration fails on the copy, before anything is touched") as chapter:
        before = fingerprints(story)
        proof = story.interlock("schema", "prove", SHOP, "--ref", "v1.3.0", "--environment", "production")
        CONSOLE.print(proof.stdout + proof.stderr)
        release, phase = story.carry("v1.3.0", "unique order keys")
        entries = story.house.journal.entries(release=release)
        untouched = fingerprints(story) == before and not {"back_up", "migrate", "deploy"} & verbs(entries)
        stopped = phase == "aborted" and untouched and story.serving() == "1.1.0"
        chapter.as_it_must = stopped and proof.returncode == 1 and "the migration fails" in proof.stderr
        told = " ".join(fold(entries)[release].reason.splitlines())
        chapter.outcome = f"{phase}; {'all is untouched' if untouched else 'CHANGED'}; {told}"[:200]
    with story.chapter("5  an operator rolls v1.1.0 back to v1.0.0") as chapter:
        done = story.interlock(
            "rollback", SHOP, "production", "--reason", "customers miss the old page", "--requester", "linus", "--yes"
        )
        CONSOLE.print(done.stdout)
        release = next(r for r in story.releases() if "v1.1.0" in r)
        phase = story.follow(release, lambda phase: phase in OVER | {"stuck"} and phase != "released", 120)
        chapter.as_it_must = (phase, story.serving()) == ("rolled back", "1.0.0")
        chapter.rollback_ms = back_again(story.house.journal.entries(release=release))
        chapter.outcome = f"{phase}; production serves {story.serving()}"


def mix() -> list[Call]:
    """Translate the shop's mix for the load generator."""
    return [
        Call(
            kind.name, kind.method, kind.path.replace("$product", "{n}"),
            (kind.body or "").replace("$product", "{n}").replace("$quantity", "1").replace("$key", "{key}"),
            kind.weight, (kind.expected,), numbers=20,
        )
        for kind in MIX
    ]  # fmt: skip


def greet(config: Path, words: str) -> None:
    """Change a configuration value, as somebody would in a pull request."""
    path = config / "services" / "shop.yaml"
    path.write_text(path.read_text().replace("GREETING: Welcome aboard", f"GREETING: {words}"))


def verdicts(entries: tuple[Entry, ...]) -> list[Judged]:
    """List what the judge said."""
    return [entry.fact for entry in entries if isinstance(entry.fact, Judged)]


def back_again(entries: tuple[Entry, ...]) -> float | None:
    """Measure from the decision to go back until the router confirmed it, in ms of the journal's clock."""
    decided = None
    for entry in entries:
        if entry.fact.kind == "entered" and entry.fact.phase == "rolling back":
            decided = decided or entry.at
        elif isinstance(entry.fact, Judged) and entry.fact.verdict.decision == "roll back":
            decided = entry.at
        elif decided and isinstance(entry.fact, Done) and entry.fact.verb == "shift":
            return (datetime.fromisoformat(entry.at) - datetime.fromisoformat(decided)).total_seconds() * 1000
    return None


def fingerprints(story: Story) -> list[str]:
    """Hash every schema as the databases have them now."""
    from adapters.connect import connect  # noqa: PLC0415  # only this chapter looks into the databases themselves

    return [database.fingerprint() for _, database in sorted(connect(SHOP, story.house).ports.databases.items())]


def verbs(entries: tuple[Entry, ...]) -> set[str]:
    """Name the steps that were begun."""
    return {entry.fact.verb for entry in entries if isinstance(entry.fact, Intended)}


def rows_missing(dsn: str, report: Report) -> int:
    """Count the orders that were acknowledged and are not in the database."""
    acknowledged = {int(key) for key in report.acknowledged.get("order", []) if key.isdigit()}
    with psycopg.connect(dsn) as connection:
        kept = {row[0] for row in connection.execute("select id from orders")}
    return len(acknowledged - kept)


def finish(story: Story) -> int:
    """Stop the traffic, draw the table, print the figures; return the exit code."""
    assert story.traffic is not None  # play() has started it
    report = story.traffic.stop()
    dsn = story.house.secrets.resolve("secret://file/shop-production-migrator-url")
    lost = rows_missing(dsn, report)
    table = Table("chapter", "outcome", "seconds", "requests", "failed", "rollback ms", "rows lost")
    for chapter in story.chapters:
        back = "" if chapter.rollback_ms is None else f"{chapter.rollback_ms:.0f}"
        colour = "green" if chapter.as_it_must else "red"
        figures = (f"{chapter.seconds:.0f}", str(chapter.served), str(chapter.failed), back, str(lost))
        table.add_row(chapter.title, f"[{colour}]{chapter.outcome}[/]", *figures)
        chapter.rows_lost = lost
    CONSOLE.print(table)
    strange = [e for e in report.events if not e.status.startswith("2") and e.version != "1.2.0"]
    foreign = len(strange)
    passed = all(c.as_it_must for c in story.chapters) and not foreign and not lost and len(story.chapters) == 5
    CONSOLE.print(f"\nPrefect: {story.house.settings.prefect.ui}   stop everything: make down")
    CONSOLE.print(f"look around: export INTERLOCK_SETTINGS={story.stack.folder}/settings.yaml; interlock status")
    figures_json = {
        "passed": passed, "requests": report.sent, "failed_other_than_v1_2_0": foreign, "rows_lost": lost,
        "failures": dict(Counter(f"{e.call} {e.status} {e.version or '-'}" for e in strange)),
        "p50_ms": round(report.p50, 1), "p99_ms": round(report.p99, 1),
        "chapters": [asdict(chapter) for chapter in story.chapters],
    }  # fmt: skip
    print(json.dumps(figures_json))
    return 0 if passed else 1


def main() -> int:
    """Set the stage, play, and report."""
    folder = HOUSE / ".interlock" / "demo"
    stack = Stack(folder, config=folder / "config", say=lambda line: CONSOLE.print(f"  [dim]{line}[/]"))
    CONSOLE.rule("[bold]Interlock: the stage is set")
    stack.down(purge=True)
    shutil.rmtree(folder / "config", ignore_errors=True)
    shutil.copytree(HOUSE / "config", folder / "config", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    story: Story | None = None
    try:
        story = Story(stack, open_house(stack.up()), bool(os.environ.get("INTERACTIVE")))
        play(story)
        return finish(story)
    except ReleaseError as error:
        CONSOLE.print(f"[red]{error}[/]")
        return error.exit_code
    finally:
        if story and story.traffic:
            story.traffic.stop()


if __name__ == "__main__":
    sys.exit(main())
