"""A throw-away stack to measure on: its own folder below /tmp, its own ports, config and databases."""

import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import yaml

from adapters.connect import House, open_house
from config.settings import HOUSE
from deployments.embedded.first_settings import choose_ports
from deployments.stack import Stack
from domain.environment.profile import Environment
from domain.facts import Done, Entry, Intended
from domain.release.service import Placement, Service

SHOP = "shop"
REQUESTER = "dev"  # one of the people that every stack makes
SHAPES = {"dev": "dev", "plain": "dev", "cycles": "staging", "live": "production"}
"""Environment of the bench → the one of config/environments it is a copy of; each stands alone, after no other."""

_PRODUCTS = {"postgres": 19432, "registry": 19500, "prefect": 19420}
_ROUTES = {"dev": 19081, "plain": 19082, "cycles": 19083, "live": 19084}
_OURS = ("PREFECT_", "INTERLOCK_")


@dataclass(frozen=True)
class Ground:
    """The stack, up, and what is known of it."""

    folder: Path
    stack: Stack
    house: House

    @property
    def shop(self) -> Service:
        """The example service."""
        return self.house.catalog.service(SHOP)

    @property
    def repository(self) -> Path:
        """The shop's history, as the stack made it."""
        return self.house.settings.sources / SHOP

    def place(self, name: str) -> tuple[Environment, Placement]:
        """Find an environment, and the shop in it."""
        return self.house.catalog.environment(name), self.shop.environments[name]

    def newest(self) -> str:
        """Name the release that was opened last."""
        return self.house.journal.entries(service=SHOP, kinds=("opened",))[-1].release

    def insist_on(self, place: str, version: str) -> None:
        """Ask as a user would, and fail unless this version answers: a release that did nothing is quick."""
        url = f"http://127.0.0.1:{self.place(place)[1].port}/healthz"
        answer = httpx.get(url, timeout=5, trust_env=False)
        if (answer.status_code, answer.headers.get("x-version")) != (200, version):
            raise SystemExit(f"{url}: {answer.status_code} from {answer.headers.get('x-version')}, expected {version}")


@contextmanager
def ground(say: Callable[[str], None]) -> Iterator[Ground]:
    """Start the stack, and point this process at it; take everything away again, also on Ctrl-C and SIGTERM.

    Prefect reads its environment when it is imported: import what imports Prefect inside.
    """
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        del os.environ[name]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="il-bench-", dir="/tmp"))  # HAProxy's socket paths must be short
    folder.chmod(0o755)  # PostgreSQL's own user must get through
    stack = Stack(folder / "stack", config=_config(folder / "config"), ports=_PRODUCTS, say=say)
    try:
        settings = stack.up()
        os.environ.update(stack.environment() | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING"})
        yield Ground(folder, stack, open_house(settings))
    finally:
        for sign in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C would leave half of it behind
            signal.signal(sign, signal.SIG_IGN)
        for handler in logging.getLogger("prefect.flow_runs").handlers:
            handler.flush()  # to the server, while there is one: at exit Prefect would look for it for a minute
        stack.down(purge=True)
        shutil.rmtree(folder, ignore_errors=True)


def seconds_of_steps(entries: Sequence[Entry]) -> dict[str, float]:
    """Add up, step by step, the time from intent to outcome in the journal; a check goes by its own name."""
    begun: dict[str, str] = {}
    spent: dict[str, float] = {}
    for entry in entries:
        if isinstance(entry.fact, Intended):
            begun[entry.fact.key] = entry.at
        elif isinstance(entry.fact, Done):
            name = str(entry.fact.outcome.get("check", entry.fact.verb))
            spent[name] = spent.get(name, 0.0) + between(begun[entry.fact.key], entry.at)
    return spent


def between(earlier: str, later: str) -> float:
    """Count the seconds from one time of the journal to another."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def _config(target: Path) -> Path:
    """Copy the house's config, with the environments of the bench in place of its own."""
    shutil.copytree(HOUSE / "config", target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shapes = {path.stem: yaml.safe_load(path.read_text()) for path in target.glob("environments/*.yaml")}
    for name in shapes:
        (target / "environments" / f"{name}.yaml").unlink()
    for name, shape in SHAPES.items():
        profile = {key: value for key, value in shapes[shape].items() if key != "after"} | {"name": name}
        (target / "environments" / f"{name}.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    file, ports = target / "services" / f"{SHOP}.yaml", choose_ports(_ROUTES)
    service = yaml.safe_load(file.read_text())
    placements = {name: service["environments"][shape] for name, shape in SHAPES.items()}
    service["environments"] = {
        name: {
            "port": ports[name],
            "config": placement["config"] | {"DATABASE_URL": f"secret://file/{SHOP}-{name}-app-url"},
            "database": f"secret://file/{SHOP}-{name}-migrator-url",
        }
        for name, placement in placements.items()
    }
    file.write_text(yaml.safe_dump(service, sort_keys=False))
    return target
