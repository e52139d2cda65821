"""The embedded stack: every product that a release works with, on this machine, started and stopped as one.

    python -m deployments.stack up|down|status [--folder .interlock]

The folder holds everything: `settings.yaml` and `people.yaml` (written once, then yours), keys, secrets, sources, the
data of every product, and `stack.json`: what was started, as it started.
"""

import fcntl
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

import httpx
import typer
import yaml
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from adapters.docker_engine import Engine, speaking
from config.load import VARIABLE, catalog, load
from config.settings import HOUSE, Settings
from deployments.embedded import (
    base_image,
    databases,
    dockerd,
    haproxy,
    mark,
    people,
    postgres,
    prefect,
    process,
    registry,
)
from deployments.embedded.process import Child
from domain.errors import Conflict, Invalid, ReleaseError
from examples.shop.history import make_history

PORTS: Mapping[str, int] = {"postgres": 18432, "registry": 18500, "prefect": 18420}
"""Where products listen unless somebody else does; the ports of services are in config/services."""

_POLITE: Mapping[str, Callable[[Child], None]] = {"postgres": postgres.stop, "router": haproxy.stop}
_MADE = ("registry", "router", "prefect", "postgres", "runner", "store", "sources", "notices", "secrets", "keys")


class State(BaseModel):
    """What `stack.json` remembers."""

    ports: dict[str, int] = {}
    running: dict[str, Child] = {}


class Stack:
    """One stack in one folder; several can run side by side. `say` gets one line for everything that is done."""

    def __init__(
        self,
        folder: Path,
        *,
        config: Path = HOUSE / "config",
        ports: Mapping[str, int] = PORTS,
        say: Callable[[str], None] = print,
    ) -> None:
        self.folder = folder.absolute()
        self.name = f"interlock-{sha256(str(self.folder).encode()).hexdigest()[:6]}"
        self.settings_file = self.folder / "settings.yaml"
        self.secrets = self.folder / "secrets"
        self.state = State()
        self._config = config
        self._ports = ports
        self._say = say

    def up(self) -> Settings:
        """Start whatever is missing, and return the settings that lead to it.

        Raises Invalid before anything starts when the configuration is wrong or a service's port is taken.
        """
        with self._alone(), mark.marking(self.name):
            settings = self._settings()
            host = settings.engine.host or dockerd.SOCKET
            self._insist_on_free_ports(settings)
            self._start("dockerd", "Docker Engine", lambda: dockerd.ensure(self.folder / "dockerd", host))
            self._say(f"base image {base_image.TAG}")
            base_image.ensure(host)
            bridge = self._bridge(host)
            self._start("postgres", f"PostgreSQL on {self.state.ports['postgres']}", lambda: self._postgres(bridge))
            self._databases(settings, bridge)
            self._start("registry", f"registry at {settings.registry.url}", self._registry)
            self._start("router", "HAProxy", lambda: haproxy.start(settings.router.folder, settings.router.bind))
            self._start("prefect", f"Prefect at {settings.prefect.ui}", self._prefect)
            if not (settings.sources / "shop").exists():
                make_history(settings.sources / "shop")
            self._start("runner", "runner of the flows", self._runner)
            return settings

    def down(self, *, purge: bool = False) -> None:
        """Stop what `up` started, and remove its containers and networks; `purge` removes data and images as well."""
        if not self.folder.exists():
            return
        with self._alone():
            for name in ("runner", "prefect", "router"):
                self._stop(name)
            self._remove_containers(images=purge)
            for name in ("registry", "postgres"):
                self._stop(name)
            mark.stop_all(self.name)
            if not self._engine_is_shared():
                self._stop("dockerd")
            if purge:
                self._purge()

    def status(self) -> dict[str, Child | None]:
        """Tell what runs: product → its process; None: not running."""
        self._read()
        return {name: child if child.alive else None for name, child in self.state.running.items()}

    def environment(self) -> dict[str, str]:
        """Name this stack, and nothing of the caller's own Prefect, to a command or a flow."""
        self._read()
        return {
            VARIABLE: str(self.settings_file),
            **prefect.environment(self.folder / "prefect", self.state.ports["prefect"]),
        }

    def _settings(self) -> Settings:
        """Write settings and people unless they are there, and load them."""
        people.ensure(self.folder / "people.yaml", self.folder / "keys")
        if not self.settings_file.exists():
            databases.write(self.settings_file, yaml.safe_dump(self._first_settings(), sort_keys=False))
        return load(self.settings_file)

    def _first_settings(self) -> dict[str, object]:
        ports = self._choose_ports()
        return {
            "stack": self.name,
            "config": str(self._config),
            "people": "people.yaml",
            "sources": "sources",
            "ledger": {"url": "secret://file/ledger-url"},
            "engine": {"kind": "docker", "host": os.environ.get("DOCKER_HOST", dockerd.SOCKET)},
            "registry": {"kind": "oci", "url": f"http://127.0.0.1:{ports['registry']}"},
            "router": {"kind": "haproxy", "folder": "router"},
            "store": {"kind": "folder", "folder": "store"},
            "secrets": {"folder": "secrets"},
            "notices": {"kind": "folder", "folder": "notices"},
            "lease": {"ttl": "30s"},
            "judge": {"period": "1s"},
            "prefect": {
                "api": f"http://127.0.0.1:{ports['prefect']}/api",
                "ui": f"http://127.0.0.1:{ports['prefect']}",
            },
        }

    def _choose_ports(self) -> dict[str, int]:
        """Take the usual port of every product, or the next free one; a stack keeps its ports for life."""
        for name, usual in self._ports.items():
            taken = {*self.state.ports.values()}
            self.state.ports.setdefault(name, next(p for p in range(usual, 65536) if p not in taken and _free(p)))
        self._save()
        return self.state.ports

    def _insist_on_free_ports(self, settings: Settings) -> None:
        """Users know the ports of services, and published images name the registry's: none of them can give way."""
        wanted = {f"{name} needs": port for name, port in self.state.ports.items() if not self._runs(name)}
        if not self._runs("router"):
            for service in catalog(settings).services.values():
                for place, placement in service.environments.items():
                    wanted[f"services/{service.name}.yaml: environments.{place}.port:"] = placement.port
        problems = [f"{who} port {port}, which is taken" for who, port in wanted.items() if not _free(port)]
        if problems:
            raise Invalid.all(problems, "stop whoever listens there (`ss -ltnp`), or choose other ports")

    def _postgres(self, bridge: str) -> Child:
        port, word = self.state.ports["postgres"], self.secrets / "postgres-password"
        postgres.password_in(word)
        return postgres.start(self.folder / "postgres", port=port, password=word, listen=(bridge,))

    def _databases(self, settings: Settings, bridge: str) -> None:
        """One database for Prefect, one for the ledger, one for every service and environment that wants one."""
        port = self.state.ports["postgres"]
        word = postgres.password_in(self.secrets / "postgres-password")
        admin = postgres.dsn(port, postgres.SUPERUSER, word, "postgres")
        for name, driver in (("prefect", "asyncpg"), ("ledger", "psycopg")):
            url = databases.ensure_own(admin, self.secrets, port=port, name=name)
            databases.write(self.secrets / f"{name}-url", url.replace("postgresql:", f"postgresql+{driver}:"))
        for service in catalog(settings).services.values():
            for place, placement in service.environments.items():
                if placement.database:
                    name = f"{service.name}-{place}"
                    databases.ensure(admin, self.secrets, port=port, name=name, host=bridge)

    def _registry(self) -> Child:
        return registry.start(self.folder / "registry", self.state.ports["registry"])

    def _prefect(self) -> Child:
        database = (self.secrets / "prefect-url").read_text()
        return prefect.start(self.folder / "prefect", database, self.state.ports["prefect"])

    def _runner(self) -> Child:
        since = datetime.now(UTC)
        return process.start(
            "runner",
            [sys.executable, "-m", "deployments.runner"],
            folder=self.folder / "runner",
            ready=lambda: _polled(self.state.ports["prefect"], since),
            env=self.environment(),
        )

    def _bridge(self, host: str) -> str:
        """Find the address of this machine that containers on every network reach."""
        with speaking("looking at Docker's bridge network"):
            network = Engine(host).api.inspect_network("bridge")["IPAM"]["Config"][0]
        return str(network.get("Gateway") or ip_network(network["Subnet"])[1])  # not told: Docker takes the first

    def _remove_containers(self, *, images: bool) -> None:
        if not dockerd.answers():
            return
        api, mine = Engine(None).api, {"label": f"interlock.stack={self.name}"}
        with speaking(f"removing what {self.name} left in the engine"):
            for container in api.containers(all=True, filters=mine):
                self._say(f"removing container {container['Names'][0].lstrip('/')}")
                api.remove_container(container["Id"], force=True, v=True)
            for network in api.networks(filters=mine):
                api.remove_network(network["Id"])
            for image in api.images(filters=mine) if images else ():
                api.remove_image(image["Id"], force=True)

    def _engine_is_shared(self) -> bool:
        """Tell whether containers that are not ours run on the engine that we started."""
        return self._runs("dockerd") and bool(Engine(None).api.containers())

    def _start(self, name: str, what: str, begin: Callable[[], Child | None]) -> None:
        if self._runs(name):
            return
        begun = time.monotonic()
        child = begin()
        if child:
            self.state.running[name] = child
            self._save()
            self._say(f"{what}: up in {time.monotonic() - begun:.1f} s")

    def _stop(self, name: str) -> None:
        child = self.state.running.get(name)
        if child and child.alive:
            self._say(f"stopping {name}")
            _POLITE.get(name, process.stop)(child)
        if self.state.running.pop(name, None):
            self._save()

    def _runs(self, name: str) -> bool:
        child = self.state.running.get(name)
        return child is not None and child.alive

    def _purge(self) -> None:
        for name in _MADE:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("settings.yaml", "people.yaml", "stack.json"):
            (self.folder / name).unlink(missing_ok=True)
        self.state = State()

    def _read(self) -> None:
        with suppress(FileNotFoundError):
            self.state = State.model_validate_json((self.folder / "stack.json").read_text())

    def _save(self) -> None:
        databases.write(self.folder / "stack.json", self.state.model_dump_json(indent=2))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Read the state, and keep every other `up` and `down` of this folder out meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "stack.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(f"{self.folder}: another up or down is under way", "wait for it to end") from error
            self._read()
            yield


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _polled(port: int, since: datetime) -> bool:
    """Tell whether a runner has asked the server for work since then."""
    try:
        answer = httpx.get(
            f"http://127.0.0.1:{port}/api/deployments/name/release/interlock", timeout=5, trust_env=False
        )
    except httpx.HTTPError:
        return False
    last = answer.json().get("last_polled") if answer.is_success else None
    return last is not None and datetime.fromisoformat(last) >= since


app = typer.Typer(add_completion=False, help=__doc__)
Folder = Annotated[Path, typer.Option(help="where everything of the stack is kept")]
HERE = HOUSE / ".interlock"


@app.command()
def up(folder: Folder = HERE) -> None:
    """Start whatever is missing."""
    console, begun = Console(highlight=False), time.monotonic()
    stack = Stack(folder, say=lambda line: console.print(f"[dim]·[/] {line}"))
    settings = stack.up()
    console.print(f"[bold]The stack is up[/] after {time.monotonic() - begun:.0f} s; all of it is in {stack.folder}\n")
    table = Table.grid(padding=(0, 3))
    table.add_row("Prefect", settings.prefect.ui or "")
    for service in catalog(settings).services.values():
        for place, placement in service.environments.items():
            table.add_row(f"{service.name} in {place}", f"http://{settings.router.bind}:{placement.port}")
    table.add_row("registry", settings.registry.url)
    table.add_row("keys", f"{stack.folder / 'keys'}  (ada, grace and linus approve, dev asks)")
    console.print(table)
    console.print(
        "\nNext: [bold]make demo[/] plays a release; [bold]make status[/] and [bold]make down[/] do as they say"
    )


@app.command()
def down(folder: Folder = HERE, purge: Annotated[bool, typer.Option(help="remove the data as well")] = False) -> None:
    """Stop exactly what `up` started; the data stays."""
    Stack(folder).down(purge=purge)


@app.command()
def status(folder: Folder = HERE) -> None:
    """Show what runs."""
    stack, table = Stack(folder), Table(box=None)
    for heading in ("product", "state", "pid", "log"):
        table.add_column(heading)
    for name, child in stack.status().items():
        table.add_row(
            name,
            "[green]up[/]" if child else "[red]down[/]",
            str(child.pid) if child else "",
            child.log if child else "",
        )
    Console(highlight=False).print(table if table.row_count else f"nothing runs in {stack.folder}; `make up` starts it")


if __name__ == "__main__":
    try:
        app()
    except ReleaseError as error:
        Console(stderr=True, highlight=False).print(f"[red]{type(error).__name__}[/]: {error}", markup=True)
        sys.exit(error.exit_code)
