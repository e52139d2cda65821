"""One stack, one shop with visitors, and the ways people act on it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.connect import Desk, House, connect, open_house
from bench.traffic import Load
from config.load import load
from deployments.stack import Stack
from domain.release.state import OVER, fold
from examples.demo import mix


@dataclass(frozen=True)
class Shop:
    """The shop on its stack."""

    stack: Stack
    house: House
    desk: Desk
    fault: Path

    def git(self, *words: str, folder: Path) -> None:
        identity = ["-c", "user.name=dev", "-c", "user.email=dev@example.org"]
        subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)

    def interlock(self, *words: str, code: int = 0) -> str:
        """Type a command; fail unless it exits as expected."""
        command = [str(Path(sys.executable).with_name("interlock")), *words]
        env = {**os.environ, **self.stack.environment(), "COLUMNS": "160"}
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=300)
        assert done.returncode == code, f"interlock {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def key(self, name: str) -> str:
        return str(self.stack.folder / "keys" / name)

    def start(self, ref: str, to: str = "production") -> str:
        """Start a release through Prefect; return its id."""
        known = self.releases()
        self.interlock("release", "shop", "--ref", ref, "--to", to, "--requester", "dev", "--no-wait")
        return self.newest(known)

    def newest(self, known: list[str]) -> str:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if new := [release for release in self.releases() if release not in known]:
                return new[0]
            time.sleep(0.2)
        raise AssertionError("no release appeared in the journal")

    def releases(self) -> list[str]:
        return [entry.release for entry in self.house.journal.entries(kinds=("opened",))]

    def phase(self, release: str) -> str:
        return str(fold(self.house.journal.entries(release=release))[release].phase)

    def until(self, release: str, *phases: str, patience: float = 300) -> str:
        end = time.monotonic() + patience
        while (phase := self.phase(release)) not in phases:
            assert time.monotonic() < end, f"{release} is still {phase}\n{self.interlock('explain', release)}"
            time.sleep(0.3)
        return phase

    def approve(self, release: str) -> None:
        if self.until(release, "awaiting approval", *OVER) in OVER:
            return
        for name in ("ada", "grace"):
            self.interlock("approve", release, "--as", name, "--key", self.key(name), "--yes")

    def carry(self, ref: str) -> tuple[str, str]:
        release = self.start(ref)
        self.approve(release)
        return release, self.until(release, "stuck", *OVER)

    def served(self, environment: str) -> tuple[str, set[str]]:
        """Ask the engine, not the journal: (version, digests) of what runs."""
        running = self.desk.ports.workload.running("shop", environment)
        return running[0].version, {replica.image for replica in running}


@pytest.fixture(scope="session")
def shop(stack: Stack) -> Iterator[Shop]:
    """The shop with v1.0.0 in every environment, released and approved as people do it."""
    before = dict(os.environ)
    os.environ.update(stack.environment())
    house = open_house(load(stack.folder / "settings.yaml"))
    shop = Shop(stack, house, connect("shop", house), stack.folder / "fault.json")
    _, phase = shop.carry("v1.0.0")
    assert phase == "released"
    yield shop
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def visitors(shop: Shop) -> Iterator[Load]:
    """Live traffic on production, a fifth of it orders."""
    with Load(shop.desk.service.environments["production"].port, 120, mix(), events=True) as load:
        time.sleep(2)
        yield load


@pytest.fixture
def count_failures(visitors: Load) -> Callable[[], int]:
    before = visitors.snapshot().failed
    return lambda: visitors.snapshot().failed - before
