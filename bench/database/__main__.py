"""Measure how Interlock treats a database: `python -m bench.database WHAT`.

stall: who waits while a column is added behind a long transaction. backup: what a verified backup costs.
corruption: which damages are found. fingerprint: how quick it is, and whether it is always the same.
proof: which bad ways back are caught, which good ones pass, and what a proof costs.
rollback: a backup restored with what was written since: rows lost, how long writes stand still, what a capture costs.
One throw-away PostgreSQL is started for it, filled, and taken away again. The table goes to the terminal.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench.database import backup, corruption, fingerprint, proof, rollback, stall
from bench.database.ground import SETTINGS, SMALL, Ground, Shop, ground
from config.settings import HOUSE
from domain.errors import ReleaseError

Measure = Callable[[Ground, Shop, argparse.Namespace], str]
MEASURES: dict[str, Measure] = {
    "stall": lambda g, s, o: stall.measure(g, s, stall.Plan(o.rate, o.blocker, o.seed), _say),
    "backup": lambda g, s, o: backup.measure(g, s, o.rounds, o.minutes, _say),
    "corruption": lambda g, s, o: corruption.measure(g, s, o.seed, o.minutes, _say),
    "fingerprint": lambda g, s, o: fingerprint.measure(g, s, o.runs, o.minutes, _say),
    "rollback": lambda g, s, o: rollback.measure(g, s, o.rounds, _say),
    "proof": lambda g, s, o: proof.measure(g, s, o.minutes, _say),
}


def main() -> int:
    """Measure one thing, and print its table under its conditions."""
    options = _options()
    busy = os.getloadavg()
    try:
        with ground(_say) as here:
            _say(f"filling {options.size} MB")
            shop = here.shop(options.size, options.seed)
            facts = conditions(here, shop, options, busy)
            print(f"\n## database: {options.what}\n\n{facts}\n", flush=True)
            print(MEASURES[options.what](here, shop, options), flush=True)
    except KeyboardInterrupt:
        return 130
    except ReleaseError as error:
        _say(f"{type(error).__name__}: {error}")
        return error.exit_code
    return 0


def conditions(here: Ground, shop: Shop, options: argparse.Namespace, busy: tuple[float, float, float]) -> str:
    """Say when, where and on what this was measured; `busy` are the load averages before anything was started."""
    parts = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"commit {_said('git', '-C', str(HOUSE), 'describe', '--always', '--dirty', '--abbrev=10')}",
        f"{os.cpu_count()} cores ({_processor()})",
        f"load average before {' '.join(f'{value:.2f}' for value in busy)}",
        *([f"niceness {nice}"] if (nice := os.nice(0)) else []),
        f"PostgreSQL {here.version}, {', '.join(SETTINGS)}",
        f"database of {shop.size / 1e6:.0f} MB, {shop.orders} orders",
        f"seed {options.seed}",
        f"Python {platform.python_version()}",
        platform.platform(),
    )
    return "Conditions: " + ", ".join(parts) + "."


def megabytes(text: str) -> int:
    """Read a size: SMALL, a number of megabytes, or a number with MB or GB."""
    if text.upper() == "SMALL":
        return SMALL
    found = re.fullmatch(r"([1-9]\d*) ?(MB|GB)?", text, re.IGNORECASE)
    if not found:
        raise argparse.ArgumentTypeError("SMALL, megabytes, or a number with MB or GB")
    return int(found[1]) * (1000 if (found[2] or "").upper() == "GB" else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.database", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=tuple(MEASURES))
    parser.add_argument("--size", type=megabytes, default=SMALL, help=f"SMALL ({SMALL}), 1GB, or megabytes")
    parser.add_argument("--seed", type=int, default=1, help="another number: other rows, requests and damages")
    parser.add_argument("--rate", type=_some, default=1000, help="stall: requests per second")
    parser.add_argument("--blocker", type=_more_than(1.0), default=12.0, help="stall: seconds that it stays")
    parser.add_argument("--rounds", type=_some, default=3, help="backup, rollback: how often each, paired")
    parser.add_argument("--runs", type=_some, default=1000, help="fingerprint: how many")
    parser.add_argument(
        "--minutes",
        type=_more_than(0.0),
        default=8.0,
        help="all but stall and rollback: begin nothing more after so long",
    )
    return parser.parse_args()


def _some(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _more_than(least: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        if not (number := float(text)) > least:
            raise argparse.ArgumentTypeError(f"more than {least:g}")
        return number

    return read


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.machine()


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.partition("\n")[0].strip()


def _say(line: str) -> None:
    print(f"· {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
