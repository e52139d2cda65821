"""A few faults of the campaign, on real parts: `make chaos SAMPLE=1` plays one of every kind, `make chaos` all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import HOUSE

# Chosen so that the run dies, is fenced, is cancelled, loses what it works with, and loses everything.
SOME = (
    "kill@release:inside-intended-deploy",
    "kill@release:before-intended-publish",
    "cancel@release:inside-intended-check",
    "stop@release:before-judged",
    "registry@release:inside-intended-check-2",
    "dockerd@rollback:inside-intended-deploy",
    "postgres@release:inside-intended-attach",
    "prefect@release:inside-intended-build",
    "haproxy-worker@rollback:inside-intended-shift",
    "reset-database@release:after-intended-build",
    "disk-ledger@rollback:after-intended-retire",
    "machine@release:inside-intended-check",
)


@pytest.mark.real
@pytest.mark.timeout(2400)
def test_whatever_fails_the_world_ends_up_legal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.chaos", *SOME, "--record", str(tmp_path)]
    done = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, timeout=2300, check=False)
    assert list(tmp_path.glob("*.json")), f"it ended before its first fault:\n{done.stdout}\n{done.stderr}"
    [record] = tmp_path.glob("*.json")
    played = json.loads(record.read_text())["faults"]
    assert {name: it["wrong"] for name, it in played.items()} == {name: [] for name in SOME}, done.stdout + done.stderr
    assert all(it["hit"] for it in played.values()), done.stdout
    assert done.returncode == 0
