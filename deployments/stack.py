"""The embedded stack: every product that a release works with, on this machine, started and stopped as one.

    python -m deployments.stack up|down|status [--folder .interlock]

The folder holds everything: `settings.yaml` and `people.yaml` (written once, then yours), keys, secrets, sources, the
data of every product, and `stack.json`: what was started, as it started.
"""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from adapters.docker_engine import Engine, speaking
from config.catalog import Catalog
from config.load import VARIABLE, catalog, load
from config.settings import HOUSE, Settings
from deployments.embedded import (
    base_image,
    databases,
    dockerd,
    gateway,
    haproxy,
    mark,
    people,
    postgres,
    prefect,
    registry,
)
from deployments.embedded.first_settings import choose_ports, first_settings, free
from deployments.embedded.process import Child, start, stop
from domain.errors import Conflict, Invalid, ReleaseError
from examples.shop.history import make_history

PORTS: Mapping[str, int] = {"postgres": 18432, "registry": 18500, "prefect": 18420}
"""Where products listen unless somebody else does; the ports of services are in config/services."""

_POLITE: Mapping[str, Callable[[Child], None]] = {"postgres": postgres.stop, "router": haproxy.stop}
_FOLDERS = ("keys", "notices", "postgres", "prefect", "registry", "router", "runner", "secrets", "sources", "store")
_FILES = ("people.yaml", "settings.yaml", "stack.json")


class State(BaseModel):
    """What `stack.json` remembers: the engine, the ports, and product → process."""

    host: str | None = None
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
        self.secrets = self.folder / "secrets"
        self._config = config
        self._usual = ports
        self._say = say
        self._state = State()

    def up(self) -> Settings:
        """Start whatever is missing, and return the settings that lead to it.

        Raises Invalid before anything starts when the configuration is wrong or a port that cannot change is taken.
        """
        with self._alone():
            settings = self.prepare()
            known, ports, host = catalog(settings), self._state.ports, self._state.host
            self._insist_on_free_ports(known)
            if not dockerd.answers(host):
                self._start("dockerd", "Docker Engine", lambda: dockerd.ensure(self.folder / "dockerd", host or ""))
            with mark.marking(self.name), ThreadPoolExecutor(1) as beside:
                image = beside.submit(base_image.ensure, host)  # 7 s of reading and packing, the first time
                reached_at = gateway.ensure(self.name, host)
                self._start("postgres", f"PostgreSQL on {ports['postgres']}", lambda: self._postgres(reached_at))
                databases.ensure_all(self.secrets, port=ports["postgres"], host=reached_at, names=_with_database(known))
                self._start("registry", f"registry on {ports['registry']}", self._registry)
                self._start("router", "HAProxy", lambda: haproxy.start(settings.router.folder, settings.router.bind))
                self._start("prefect", f"Prefect on {ports['prefect']}", self._prefect)
                if not (settings.sources / "shop").exists():
                    make_history(settings.sources / "shop")
                self._start("runner", "runner of the flows", self._runner)
                image.result()
            return settings

    def down(self, *, purge: bool = False) -> None:
        """Stop what `up` started, and remove its containers and networks; `purge` removes data and images as well."""
        if not self.folder.exists():
            return
        with self._alone():
            for name in ("runner", "prefect", "router"):
                self._stop(name)
            self._clear_engine(purge=purge)
            for name in ("registry", "postgres"):
                self._stop(name)
            mark.stop_all(self.name)
            if not self._engine_is_shared():
                self._stop("dockerd")
            if purge:
                self._purge()

    def status(self) -> dict[str, Child | None]:
        """Tell what runs: product → its process; None: it was started, and has gone."""
        self._read()
        return {name: child if child.alive else None for name, child in self._state.running.items()}

    def environment(self) -> dict[str, str]:
        """Name this stack, and nothing of the caller's own Prefect, to a command or a flow.

        Raises Conflict while our Prefect is down: whoever answers on its port then is another stack's.
        """
        self._read()
        if not self._runs("prefect"):
            raise Conflict(f"the stack in {self.folder} is not up", "start it: python -m deployments.stack up")
        settings = {VARIABLE: str(self.folder / "settings.yaml")}
        return settings | prefect.environment(self.folder / "prefect", self._state.ports["prefect"])

    def prepare(self) -> Settings:
        """Write settings and people unless they are there, and load them; nothing is started."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._read()
        people.ensure(self.folder / "people.yaml", self.folder / "keys")
        file = self.folder / "settings.yaml"
        if not self._state.ports:
            self._state.ports = choose_ports(self._usual)
            self._state.host = os.environ.get("DOCKER_HOST", dockerd.SOCKET)
            self._save()
        if not file.exists():
            text = first_settings(self.name, self._config, self._state.host or "", self._state.ports)
            databases.write(file, text)
        return load(file)

    def _insist_on_free_ports(self, known: Catalog) -> None:
        """Users know the ports of services, and published images name the registry's: none of them can give way."""
        wanted = {
            f"the {name} of this stack:": port for name, port in self._state.ports.items() if not self._runs(name)
        }
        if not self._runs("router"):
            for service in known.services.values():
                for place, placement in service.environments.items():
                    wanted[f"services/{service.name}.yaml: environments.{place}.port:"] = placement.port
        problems = [f"{who} port {port} is taken" for who, port in wanted.items() if not free(port)]
        if problems:
            raise Invalid.all(problems, "stop whoever listens there (`ss -ltnp` tells), or choose another port")

    def _postgres(self, reached_at: str) -> Child:
        databases.password(self.secrets, postgres.SUPERUSER)
        word = self.secrets / f"{postgres.SUPERUSER}-password"
        return postgres.start(
            self.folder / "postgres", port=self._state.ports["postgres"], password=word, listen=(reached_at,)
        )

    def _registry(self) -> Child:
        return registry.start(self.folder / "registry", self._state.ports["registry"])

    def _prefect(self) -> Child:
        database = (self.secrets / "prefect-url").read_text()
        return prefect.start(self.folder / "prefect", database, self._state.ports["prefect"])

    def _runner(self) -> Child:
        since, port = datetime.now(UTC), self._state.ports["prefect"]
        return start(
            "runner",
            [sys.executable, "-m", "deployments.runner"],
            folder=self.folder / "runner",
            ready=lambda: prefect.polled(port, "release/interlock", since),
            env=self.environment(),
        )

    def _clear_engine(self, *, purge: bool) -> None:
        if not dockerd.answers(self._state.host):
            return
        api, mine = Engine(self._state.host).api, {"label": f"interlock.stack={self.name}"}
        with speaking(f"removing what {self.name} left in the engine"):
            for container in api.containers(all=True, filters=mine):
                self._say(f"removing container {container['Names'][0].lstrip('/')}")
                api.remove_container(container["Id"], force=True, v=True)
            for network in api.networks(filters=mine):
                api.remove_network(network["Id"])
            if not purge:
                return  # the tokens in the volumes belong to the ledger, which stays too
            for volume in api.volumes(filters=mine)["Volumes"] or ():
                api.remove_volume(volume["Name"])
            for image in api.images(filters=mine):
                api.remove_image(image["Id"], force=True)

    def _engine_is_shared(self) -> bool:
        """Tell whether containers that are not ours run on the engine that we started."""
        return self._runs("dockerd") and bool(Engine(self._state.host).api.containers())

    def _start(self, name: str, what: str, begin: Callable[[], Child | None]) -> None:
        if self._runs(name):
            return
        begun = time.monotonic()
        self._say(f"starting {what}")
        if child := begin():
            self._state.running[name] = child
            self._save()
            self._say(f"{what} is up after {time.monotonic() - begun:.1f} s")

    def _stop(self, name: str) -> None:
        if self._runs(name):
            self._say(f"stopping {name}")
            _POLITE.get(name, stop)(self._state.running[name])
        if self._state.running.pop(name, None):
            self._save()

    def _runs(self, name: str) -> bool:
        child = self._state.running.get(name)
        return child is not None and child.alive

    def _purge(self) -> None:
        for name in _FOLDERS:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in _FILES:
            (self.folder / name).unlink(missing_ok=True)
        self._state = State()

    def _read(self) -> None:
        with suppress(FileNotFoundError):
            self._state = State.model_validate_json((self.folder / "stack.json").read_text())

    def _save(self) -> None:
        databases.write(self.folder / "stack.json", self._state.model_dump_json(indent=2))

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


def _with_database(known: Catalog) -> list[str]:
    return [
        f"{service.name}-{place}"
        for service in known.services.values()
        for place, placement in service.environments.items()
        if placement.database
    ]


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
