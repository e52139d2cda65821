"""Scenes for the command line: a config folder, a git repository, a ledger, people with keys, facts in the journal."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from adapters.connect import House, connect, open_house
from cli.app import app
from config.load import load
from config.settings import HOUSE
from domain.facts import Done, Entered, Fact, GateOpened, NowServing, Opened, Phase, Planned
from domain.policy.approval import Gate
from domain.release import standing
from domain.release.artifact import Artifact, Replica
from domain.release.outcomes import Deployed, Retired, Routed
from domain.release.plan import Plan, Request, Settled, Stage
from domain.release.route import Endpoint, Route, other
from domain.release.standing import Standing
from domain.value import Value
from tasks.approve import gate_of
from tasks.prepare import compute
from tasks.step import Warrant

ROLES = {"ada": "tech-lead", "grace": "product-owner", "linus": "sre", "dev": "developer", "eve": "support"}
ENVIRONMENTS = ("dev", "staging", "production")
Run = Callable[..., Result]


@dataclass
class Scene:
    """One house in a folder; the methods write what the flows would have written."""

    folder: Path
    plans: dict[str, Plan] = field(default_factory=dict)

    @cached_property
    def house(self) -> House:
        return open_house(load(self.folder / "settings.yaml"))

    def edit(self, file: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change a file of the config folder."""
        edit(self.folder / "config" / file, change)

    def write(self, fact: Fact, release: str, environment: str = "", actor: str = "dev") -> None:
        self.house.journal.append(fact, actor=actor, release=release, service="shop", environment=environment)

    def enter(self, release: str, *phases: Phase, environment: str = "", reason: str = "") -> None:
        for phase in phases:
            self.write(Entered(phase=phase, reason=reason), release, environment)

    def done(self, verb: str, outcome: Value, release: str, environment: str = "") -> None:
        self.write(
            Done(key=f"{environment}/{verb}", verb=verb, outcome=outcome.model_dump(mode="json")), release, environment
        )

    def begin(self, ref: str, requester: str = "dev") -> str:
        """Plan, build and publish a tag; returns the release."""
        release, house = f"shop-{ref}-abc123", self.house
        desk = connect("shop", house)
        request = Request(service="shop", ref=ref, environments=ENVIRONMENTS, requester=requester, reason="a reason")
        plan = compute(request, desk.service, house.environments, house.people, desk.ports, house.journal)
        self.plans[release] = plan
        self.write(Opened(request=request, run=f"run-of-{ref}"), release)
        self.write(Planned(plan=plan, hash=plan.hash), release)
        self.enter(release, "planned")
        self.done("publish", self.artifact(release), release)
        self.enter(release, "built")
        return release

    def artifact(self, release: str) -> Artifact:
        plan = self.plans[release]
        letter = plan.version.replace(".", "")[-1]
        digest = f"sha256:{letter * 64}"
        return Artifact(repository=plan.repository, version=plan.version, digest=digest, image=digest)

    def ask(self, release: str, environment: str = "production", question: str = "release") -> Gate:
        """Come to a gate and wait there."""
        house, plan = self.house, self.plans[release]
        warrant = Warrant(journal=house.journal, leases=house.leases, release=release, service="shop", actor="dev")
        gate = gate_of(warrant, plan, plan.stage(environment), self.artifact(release), question)
        if question == "release":
            self.enter(release, "awaiting approval", environment=environment)
        self.write(GateOpened(gate=gate, round=1), release, environment)
        return gate

    def deploy(self, release: str, environment: str, share: int = 10_000) -> Stage:
        """Start replicas and give them a share of the traffic, in basis points."""
        stage = self.plans[release].stage(environment)
        if stage.profile.seats:
            self.enter(release, "awaiting approval", "approved", environment=environment)
        self.enter(release, "deploying", environment=environment)
        self.put(release, stage, share)
        return stage

    def put(self, release: str, stage: Stage, share: int) -> None:
        plan = self.plans[release]
        deployment = plan.deployment(stage, self.artifact(release), release)
        replicas = tuple(replica(f"{plan.version}-{n}", deployment.artifact.image, stage, release) for n in (1, 2))
        route = Route(name=f"shop-{stage.environment}", port=stage.port)
        here = tuple(Endpoint(name=r.name, address=r.address, port=r.port) for r in replicas)
        route = route.holding(stage.slot, here).giving(stage.slot, share)
        self.done("deploy", Deployed(deployment=deployment, replicas=replicas), release, stage.environment)
        self.done("shift", Routed(route=route), release, stage.environment)

    def settle(self, release: str, environment: str) -> None:
        """Carry a release through one environment."""
        stage, plan = self.deploy(release, environment), self.plans[release]
        self.enter(release, "baking", environment=environment)
        deployment = plan.deployment(stage, self.artifact(release), release)
        if stage.previous:
            self.done(
                "retire", Retired(route=self.stands(environment).route, slot=other(stage.slot)), release, environment
            )
        self.write(NowServing(settled=Settled(deployment=deployment, commit=plan.commit.sha)), release, environment)
        self.enter(release, "settled", environment=environment)

    def stands(self, environment: str) -> Standing:
        return standing.fold(self.house.journal.entries(service="shop", environment=environment))

    def carry(self, ref: str) -> str:
        """Release a tag everywhere."""
        release = self.begin(ref)
        for environment in ENVIRONMENTS:
            self.settle(release, environment)
        self.enter(release, "released")
        return release

    def take_back(self, release: str, to: str, environment: str = "production") -> None:
        """Roll a release back to the one before it."""
        self.enter(release, "rolling back", environment=environment, reason="customers complain")
        stage, plan = self.plans[to].stage(environment), self.plans[to]
        settled = Settled(
            deployment=plan.deployment(stage, self.artifact(to), to), commit=plan.commit.sha, way="rollback"
        )
        self.write(NowServing(settled=settled), release, environment)
        self.enter(release, "rolled back", environment=environment, reason="customers complain")


def replica(name: str, image: str, stage: Stage, release: str) -> Replica:
    return Replica(
        id=name, name=name, address="127.0.0.1", port=9000, image=image, service="shop", environment=stage.environment,
        release=release, version="", slot=stage.slot, token=0,
    )  # fmt: skip


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    for name in (*ROLES, "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name], check=True)
    return {name: folder / name for name in (*ROLES, "stranger")}


@pytest.fixture
def scene(tmp_path: Path, keys: dict[str, Path], git_repository: Path) -> Scene:
    config = tmp_path / "config"
    copytree(HOUSE / "config", config, ignore=ignore_patterns("*.py", "__pycache__", "people.yaml", "reference.yaml"))
    edit(config / "services" / "shop.yaml", without_database)
    people = [
        {
            "name": n,
            "email": f"{n}@example.com",
            "roles": [r],
            "keys": [keys[n].with_suffix(".pub").read_text().strip()],
        }
        for n, r in ROLES.items()
    ]
    (config / "people.yaml").write_text(yaml.safe_dump({"people": people}))
    settings = {
        "stack": "test",
        "config": "config",
        "sources": str(git_repository.parent),
        "ledger": {"url": "sqlite:///ledger.db"},
        "engine": {"kind": "docker", "host": f"unix://{tmp_path}/no-engine.sock"},
        "registry": {"kind": "oci", "url": "http://127.0.0.1:9"},
        "router": {"kind": "haproxy", "folder": "router"},
        "store": {"kind": "folder", "folder": "store"},
        "secrets": {"folder": "secrets"},
        "notices": {"kind": "folder", "folder": "notices"},
        "prefect": {"api": "http://127.0.0.1:9/api"},
    }
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    return Scene(tmp_path)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def without_database(service: dict[str, Any]) -> None:
    del service["schema"]
    for placement in service["environments"].values():
        del placement["database"]


@pytest.fixture(scope="session")
def git_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with three tags."""
    folder = tmp_path_factory.mktemp("sources") / "shop"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    for number in range(3):
        (folder / "Dockerfile").write_text(f"FROM scratch\nLABEL version=1.{number}.0\n")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", f"feat: number {number}")
        git(folder, "tag", "--annotate", "--message", f"v1.{number}.0", f"v1.{number}.0")
    return folder


def git(folder: Path, *arguments: str) -> str:
    who = {f"GIT_{role}_{part}": said for role in ("AUTHOR", "COMMITTER") for part, said in
           (("NAME", "Someone"), ("EMAIL", "someone@example.com"))}  # fmt: skip
    env = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def run(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Type a command in the scene, as nobody whom git knows."""
    for name, value in {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(scene.folder)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.chdir(scene.folder)
    monkeypatch.setenv("INTERLOCK_SETTINGS", str(scene.folder / "settings.yaml"))

    def type_in(*words: str, input: str | None = None, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(app, list(words), input=input, env=env)

    return type_in
