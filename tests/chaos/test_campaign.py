"""A few faults of the campaign, on real parts: `make chaos SAMPLE=1` plays one of every kind, `make chaos` all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import HOUSE

# Chosen so that the run dies, is fenced, loses what it works with, and loses everything.
SOME = (
    "kill@release:inside-intended-deploy",
    "stop@release:after-intended-shift",
    "postgres@release:inside-intended-migrate",
    "machine@rollback:inside-intended-deploy",
)


@pytest.mark.real
@pytest.mark.timeout(1500)
def test_whatever_fails_the_world_ends_up_legal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.chaos", *SOME, "--record", str(tmp_path)]
    done = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, timeout=1400, check=False)
    [record] = tmp_path.glob("*.json")
    played = json.loads(record.read_text())["faults"]
    assert {name: it["wrong"] for name, it in played.items()} == {name: [] for name in SOME}, done.stdout + done.stderr
    assert all(it["hit"] for it in played.values()), done.stdout
    assert done.returncode == 0
