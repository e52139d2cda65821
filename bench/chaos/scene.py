"""Where the faults happen: one stack with one small environment, its links by name, and what is known of it."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from adapters.connect import Desk, House, connect, open_house
from adapters.docker_engine import Engine
from bench.chaos.links import Link, lead
from bench.chaos.machine import Disk
from bench.chaos.versions import BAD, KNOWN, Versions
from config.settings import HOUSE, Ledger, Settings
from deployments.embedded import databases, postgres
from deployments.stack import Stack
from domain.errors import ReleaseError
from domain.release.artifact import Recipe

SHOP, PLACE, REQUESTER = "shop", "chaos", "dev"
PORT = 18090
TTL = 10.0  # seconds of a lease: short, so that a frozen run loses it soon; a heartbeat comes every third of it
FAULTS = "INTERLOCK_FAULTS"

_POSTGRES, _REGISTRY, _PREFECT = 18432, 18500, 18420
_LINKED = {"ledger": 18601, "database": 18602, "app": 18603, "registry": 18604, "prefect": 18605}
_DRIVER = {"ledger": databases.OWN["ledger"]}
_PROFILE = {
    "name": PLACE,
    "replicas": 2,
    "resources": {"cpus": 0.5, "memory": "256m"},
    "rollout": {
        "strategy": "canary",
        "ramp": [50, 100],
        "evidence": "traffic",
        "patience": "30s",
        "bake": "2s",
    },
}
# Loose, so that a few seconds of light traffic clear a share: what is tried here is not the judge.
_CRITERIA: dict[str, object] = {"error_ratio": 1.5, "error_floor": 0.1, "alpha": 0.01, "harm_budget": 0.3, "beta": 0.05}
_CRITERIA |= {"latency": None, "share_margin": 0.9}
_CHECKS = {
    "unit": {"kind": "command", "command": ["python3", "-c", "import shop.web; print('it can be imported')"]},
    "smoke": {"kind": "http", "steps": [{"path": "/api/products/1", "contains": "Enamel mug"}]},
}


class WiredStack(Stack):
    """A stack whose runner and flows reach Prefect over its link."""

    def environment(self) -> dict[str, str]:
        """Name this stack to a command or a flow; see Stack."""
        return {**super().environment(), "PREFECT_API_URL": f"http://127.0.0.1:{_LINKED['prefect']}/api"}


def _quietly(_: str) -> None:
    """Say nothing: a stack is started again and again."""


@dataclass
class Scene:
    """One stack in `folder`, from `open` to `close`."""

    folder: Path
    say: Callable[[str], None] = _quietly

    @property
    def faults(self) -> Path:
        """Name the file that tells a flow where to fail."""
        return self.folder / "fault.json"

    @property
    def postgres(self) -> int:
        """Tell where PostgreSQL itself listens."""
        return _POSTGRES

    @cached_property
    def stack(self) -> Stack:
        """The stack; not started yet."""
        ports = {"postgres": _POSTGRES, "registry": _REGISTRY, "prefect": _PREFECT}
        return WiredStack(self.folder / "stack", config=_config(self.folder / "config"), ports=ports, say=self.say)

    @cached_property
    def disks(self) -> dict[str, Disk]:
        """The disks that can be full, by what is on them."""
        root = self.folder / "stack"
        return {"store": Disk(root / "store", 64), "ledger": Disk(root / "postgres", 1500)}

    def open(self) -> None:
        """Start everything, and publish the versions that are known in advance."""
        os.environ[FAULTS] = str(self.faults)
        for disk in self.disks.values():
            disk.mount()
        self.stack.prepare()
        settings = self._wired()
        self.versions = Versions(settings.sources / SHOP)
        self._word("ledger", "ledger", "ledger", "ledger")
        self._word("database", f"{SHOP}-{PLACE}-migrator", f"{SHOP}_{PLACE}_migrator", f"{SHOP}_{PLACE}")
        self.up()
        self._link_containers(settings)
        direct = settings.model_copy(update={"ledger": Ledger(url="secret://file/ledger-url")})
        self.house: House = open_house(direct)
        self.desk: Desk = connect(SHOP, self.house)
        for tag in (*KNOWN, BAD):
            self._publish(tag)

    def up(self) -> None:
        """Start whatever is missing, as a supervisor would."""
        lead([link for link in self.links.values() if link.chain == "OUTPUT"])
        self.stack.up()
        lead(list(self.links.values()))

    def close(self) -> None:
        """Take everything away, also what nobody knows of: the engine's folder outlives the stack."""
        if house := getattr(self, "house", None):  # a stack that never came up has none
            with suppress(ReleaseError, OSError):  # an engine that is dead has nothing that runs
                api = Engine(house.settings.engine.host).api
                for row in api.containers(all=True):
                    api.remove_container(row["Id"], force=True)
        self.stack.down(purge=True)
        for disk in self.disks.values():
            disk.unmount()
        shutil.rmtree(self.folder / "config", ignore_errors=True)
        for name in ("stack", "disks", "links", "gateway"):
            self.__dict__.pop(name, None)

    @cached_property
    def links(self) -> dict[str, Link]:
        """The connections that can be cut, by name."""
        ours = {"ledger": _POSTGRES, "database": _POSTGRES, "registry": _REGISTRY, "prefect": _PREFECT}
        return {name: Link(name, _LINKED[name], real) for name, real in ours.items()}

    def _link_containers(self, settings: Settings) -> None:
        """Add the containers' way to the database: it leads by the stack's own bridge."""
        network = Engine(settings.engine.host).api.inspect_network(f"{self.stack.name}-gateway")
        gateway = str(network["IPAM"]["Config"][0]["Gateway"])
        self.links["app"] = Link("app", _LINKED["app"], _POSTGRES, gateway, "PREROUTING")
        lead(list(self.links.values()))
        self._word("app", f"{SHOP}-{PLACE}-app", f"{SHOP}_{PLACE}_app", f"{SHOP}_{PLACE}")

    def _word(self, link: str, secret: str, role: str, database: str) -> None:
        """Write down where a link leads, beside the stack's own URL of the same database."""
        where, word = self.links[link], databases.password(self.stack.secrets, secret)
        url = postgres.dsn(where.port, role, word, database, where.host)
        databases.write(
            self.stack.secrets / f"{secret}-wired", url.replace("postgresql", _DRIVER.get(link, "postgresql"), 1)
        )

    def _wired(self) -> Settings:
        """Have flows use the links; the campaign itself does not, so that it can watch while they are cut."""
        file = self.stack.folder / "settings.yaml"
        text = yaml.safe_load(file.read_text())
        text["ledger"]["url"] = "secret://file/ledger-wired"
        text["registry"]["url"] = f"http://127.0.0.1:{_LINKED['registry']}"
        text["lease"]["ttl"] = f"{TTL:g}s"
        file.write_text(yaml.safe_dump(text, sort_keys=False))
        return self.stack.prepare()

    def _publish(self, tag: str) -> None:
        """Build and push a version as its release would."""
        ports, version = self.desk.ports, tag.removeprefix("v")
        commit = ports.source.resolve(tag).sha
        recipe = Recipe(
            service=SHOP,
            version=version,
            commit=commit,
            dockerfile="Dockerfile",
            args=self.desk.service.build.args,
        )
        image = ports.builder.build(recipe, ports.source.archive(commit))
        ports.builder.push(image, ports.registry.repository(SHOP), version)


def _config(target: Path) -> Path:
    """Copy the config folder and put one small environment in place of its own."""
    shutil.copytree(HOUSE / "config", target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for path in target.glob("environments/*.yaml"):
        path.unlink()
    (target / "environments" / f"{PLACE}.yaml").write_text(yaml.safe_dump(_PROFILE, sort_keys=False))
    file = target / "services" / f"{SHOP}.yaml"
    service = yaml.safe_load(file.read_text())
    service |= {"criteria": _CRITERIA, "checks": _CHECKS}
    service["runtime"] |= {"drain": "2s"}
    service["environments"] = {
        PLACE: {
            "port": PORT,
            "config": {"GREETING": "Welcome aboard", "DATABASE_URL": f"secret://file/{SHOP}-{PLACE}-app-wired"},
            "database": f"secret://file/{SHOP}-{PLACE}-migrator-wired",
        }
    }
    file.write_text(yaml.safe_dump(service, sort_keys=False))
    return target
