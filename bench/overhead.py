"""What a release through Interlock costs, compared with a plain script that does the same work and keeps no promise."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import IO, TypeVar
from urllib.parse import urlsplit

import httpx
import zstandard

from adapters.docker_engine import Engine
from adapters.haproxy_config import SERVER_OPTIONS, WEIGHT, backend
from adapters.haproxy_folder import Folder
from adapters.haproxy_runtime import Place, Running, Runtime
from adapters.postgres_backup import environment as libpq
from bench.ground import REQUESTER, SHOP, Ground, seconds_of_steps
from cli import runs
from deployments.embedded import haproxy, mark
from deployments.embedded.postgres import binaries
from domain.release.draw_up import configuration
from domain.release.route import Endpoint, Route, Slot, other
from domain.release.service import CommandCheck, JourneyCheck
from flows.release import release

T = TypeVar("T")
BASE = "v1.4.0"
STEPS = ("build", "unit", "publish", "prove", "back_up", "migrate", "deploy", "smoke", "attach", "shift", "retire")
_PATIENCE = 60.0  # seconds for anything that the script waits for
_ADDRESS = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
_MIGRATIONS = "db/migrations"


@dataclass(frozen=True)
class Run:
    """One release: seconds on the wall, and seconds per step."""

    seconds: float
    steps: Mapping[str, float]


@dataclass(frozen=True)
class Overhead:
    """What was measured: pairs of releases of one commit, and releases of others started through the deployment."""

    pairs: Sequence[tuple[Run, Run]]
    deployed: Sequence[float]

    def markdown(self) -> str:
        """Draw the tables."""
        ours, plains = [[run.seconds for run in side] for side in zip(*self.pairs, strict=True)]
        ratios = [ours / plain for ours, plain in zip(ours, plains, strict=True)]
        lines = [
            f"Pairs: {len(self.pairs)}, one commit each, alternating who is first. "
            f"Further releases, started through the deployment: {len(self.deployed)}.\n",
            "| one release to one environment | median | min | max |",
            "|---|---:|---:|---:|",
            _row("Interlock, the flow called in this process", ours, "s"),
            _row("the plain script", plains, "s"),
            _row("**Interlock ÷ plain, pair by pair**", ratios, "×"),
            _row("Interlock, started through the Prefect deployment", self.deployed, "s"),
            "\n| where the time goes (medians) | Interlock | plain script |",
            "|---|---:|---:|",
            *(_steps_row(name, [[run.steps.get(name, 0.0) for run in pair] for pair in self.pairs]) for name in STEPS),
            _steps_row("everything else", [[run.seconds - sum(run.steps.values()) for run in p] for p in self.pairs]),
        ]
        return "\n".join(lines)


def measure(ground: Ground, pairs: int, say: Callable[[str], None]) -> Overhead:
    """Release `pairs` commits both ways, taking turns at being first, then as many more through the deployment."""
    tags = extend(ground.repository, 2 * pairs)
    measured = []
    with plain_script(ground) as script:
        sides = (partial(through_interlock, ground), script.release)
        say(f"overhead: warming up with {BASE} both ways")
        for side in sides:
            side(BASE)
        for number, tag in enumerate(tags[:pairs], start=1):
            if number % 2:
                ours, plain = sides[0](tag), sides[1](tag)
            else:
                plain, ours = sides[1](tag), sides[0](tag)
            say(f"overhead: {number}/{pairs}: Interlock {ours.seconds:.1f} s, plain {plain.seconds:.1f} s")
            measured.append((ours, plain))
        deployed = [through_deployment(ground, tag) for tag in tags[pairs:]]
    return Overhead(measured, deployed)


def extend(repository: Path, count: int) -> list[str]:
    """Commit `count` small changes on top of v1.4.0, each with one expand migration; return their tags, v2.0.1 and on.

    What the shop sells and answers stays as it is.
    """
    git = partial(subprocess.run, cwd=repository, check=True, timeout=60, capture_output=True)
    who = ("-c", "user.name=Bench", "-c", "user.email=bench@example.com", "-c", "commit.gpgSign=false")
    git(["git", "checkout", "-q", "-B", "bench", BASE])
    first = 1 + max(int(path.name[:4]) for path in (repository / _MIGRATIONS).glob("*.up.sql"))
    tags = []
    for number in range(1, count + 1):
        with (repository / SHOP / "__init__.py").open("a") as code:
            code.write(f"BENCH_{number} = {number}\n")
        script = repository / _MIGRATIONS / f"{first + number - 1:04d}_bench_{number}"
        header = "-- interlock: phase=expand tx=on timeout=30s\n"
        Path(f"{script}.up.sql").write_text(f"{header}alter table orders add column bench_{number} text;\n")
        Path(f"{script}.down.sql").write_text(f"alter table orders drop column bench_{number};\n")
        git(["git", "add", "--all"])
        git(["git", *who, "commit", "-q", "--no-verify", "-m", f"feat: bench {number}"])
        tags.append(f"v2.0.{number}")
        git(["git", "tag", tags[-1]])
    return tags


def through_interlock(ground: Ground, tag: str) -> Run:
    """Call the flow here, against the stack's Prefect server: no process has to start first."""
    began = time.monotonic()
    release(SHOP, tag, "dev", REQUESTER, "bench")
    seconds = time.monotonic() - began
    ground.insist_on("dev", tag.removeprefix("v"))
    return Run(seconds, seconds_of_steps(ground.house.journal.entries(release=ground.newest())))


def through_deployment(ground: Ground, tag: str) -> float:
    """Start a run as a person does, and wait until Prefect calls it completed; seconds."""
    prefect, began = ground.house.settings.prefect, time.monotonic()
    asked = {"service": SHOP, "ref": tag, "to": "dev", "requester": REQUESTER, "reason": "bench"}
    run = runs.start("release/interlock", asked, prefect)
    while not run.over:
        if time.monotonic() - began > 10 * _PATIENCE:
            raise SystemExit(f"{run.url} is still {run.state}")
        time.sleep(0.2)
        run = runs.look(run.id, prefect)
    seconds = time.monotonic() - began
    if not run.worked:
        raise SystemExit(f"{run.url}: {run.state}: {run.message}")
    ground.insist_on("dev", tag.removeprefix("v"))
    return seconds


@dataclass
class PlainScript:
    """What a careful shell script would do: one command after the other, nothing recorded, stop at the first error.

    It reads the same service and environment files as Interlock, and has a database, a network, a repository in the
    registry and a HAProxy of its own.
    """

    ground: Ground
    repository: str
    docker: Callable[..., str]
    runtime: Runtime
    split: Path
    flags: tuple[str, ...]
    network: str
    slot: Slot = "green"
    serving: list[Place] = field(default_factory=list)
    migrated: set[str] = field(default_factory=set)
    steps: dict[str, float] = field(default_factory=dict)

    def release(self, tag: str) -> Run:
        """Bring a tag into the script's environment, to the last old container stopped."""
        began, self.steps = time.monotonic(), {}
        image, leaving = f"{self.repository}:{tag}", self.serving
        self.slot = other(self.slot)
        with self.step("build"):
            self.build(tag, image)
        with self.step("unit"):
            self.check_units(image)
        with self.step("publish"):
            self.docker("push", "--quiet", image)
        with self.step("back_up"):
            self.back_up()
        with self.step("migrate"):
            self.migrate(tag)
        with self.step("deploy"):
            self.serving = self.start(image, tag.removeprefix("v"))
        with self.step("smoke"):
            self.smoke()
        with self.step("attach"):
            self.attach()
        with self.step("shift"):
            self.shift()
        with self.step("retire"):
            self.retire(leaving)
        seconds = time.monotonic() - began
        self.ground.insist_on("plain", tag.removeprefix("v"))
        return Run(seconds, self.steps)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Take the time."""
        began = time.monotonic()
        yield
        self.steps[name] = time.monotonic() - began

    def build(self, tag: str, image: str) -> None:
        """Git archive | docker build. One file more: else whoever builds second finds the layers in the cache."""
        more = "--add-virtual-file=.plain:1"
        archive = subprocess.run(
            ["git", "archive", "--format=tar", more, tag],
            cwd=self.ground.repository,
            check=True,
            timeout=60,
            stdout=subprocess.PIPE,
        ).stdout
        args = [word for pair in self.ground.shop.build.args.items() for word in ("--build-arg", "=".join(pair))]
        self.docker("build", "--quiet", "--label", self.flags[1], *args, "--tag", image, "-", given=archive)

    def check_units(self, image: str) -> None:
        """Run the unit tests in the image, as large as Interlock's trial."""
        check = self.ground.shop.checks["unit"]
        assert isinstance(check, CommandCheck)
        size = ("--cpus", "1.0", "--memory", "512m")
        self.docker("run", "--rm", *self.flags, *size, "--entrypoint", check.command[0], image, *check.command[1:])

    def back_up(self) -> None:
        """pg_dump | zstd > file, and back into a scratch database."""
        file, scratch = self.ground.folder / "plain" / "backup.zst", "plain_scratch"
        with self._psql("pg_dump", "-Fc", "-Z0") as dump, file.open("wb") as stored:
            zstandard.ZstdCompressor(level=1).copy_stream(_pipe(dump.stdout), stored)
        with self._psql("createdb", "--template=template0", scratch):
            pass
        with self._psql("pg_restore", "--exit-on-error", "--no-owner", "--dbname", scratch) as restore:
            with file.open("rb") as stored:
                zstandard.ZstdDecompressor().copy_stream(stored, _pipe(restore.stdin))
            _pipe(restore.stdin).close()
        with self._psql("dropdb", scratch):
            pass

    def migrate(self, tag: str) -> None:
        """psql -f for every script that is new in this tag."""
        git = partial(
            subprocess.run, cwd=self.ground.repository, check=True, timeout=60, stdout=subprocess.PIPE, text=True
        )
        listed = git(["git", "ls-tree", "--name-only", tag, f"{_MIGRATIONS}/"]).stdout.split()
        for path in sorted(path for path in listed if path.endswith(".up.sql") and path not in self.migrated):
            text = git(["git", "show", f"{tag}:{path}"]).stdout
            with self._psql("psql", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", "-") as shell:
                shell.communicate(text.encode(), timeout=_PATIENCE)
            self.migrated.add(path)

    def start(self, image: str, version: str) -> list[Place]:
        """Docker run, and poll the health path."""
        profile, placement = self.ground.place("plain")
        runtime, secrets = self.ground.shop.runtime, self.ground.house.secrets
        values = {
            key: secrets.resolve(value) if value.startswith("secret://") else value
            for key, value in configuration(profile, placement).items()
        }
        values |= {"INTERLOCK_VERSION": version, "INTERLOCK_ENVIRONMENT": "plain", "PORT": str(runtime.port)}
        size = ("--cpus", str(profile.resources.cpus), "--memory", profile.resources.memory)
        env = [word for key, value in values.items() for word in ("--env", f"{key}={value}")]
        started = []
        for index in range(profile.replicas):
            name = f"{self.network}-{self.slot}-{index}"
            self.docker("run", "--detach", "--name", name, "--restart=always", *self.flags, *size, *env, image)
            address = self.docker("inspect", "--format", _ADDRESS, name)
            endpoint = Endpoint(name=name, address=address, port=runtime.port)
            _until(f"{name} answers", _healthy, f"http://{address}:{runtime.port}{runtime.health}")
            started.append((self.slot, endpoint))
        return started

    def smoke(self) -> None:
        """Send the service's own smoke requests to every new container."""
        check = self.ground.shop.checks["smoke"]
        assert isinstance(check, JourneyCheck)
        with httpx.Client(trust_env=False, headers={"Content-Type": "application/json"}) as client:
            for _, at in self.serving:
                for asked in check.steps:
                    url = f"http://{at.address}:{at.port}{asked.path}"
                    said = client.request(asked.method, url, content=asked.body, timeout=asked.within)
                    if said.status_code != asked.status or (asked.contains or "") not in said.text:
                        raise SystemExit(f"{asked.method} {url}: {said.status_code} {said.text[:200]}")

    def attach(self) -> None:
        """Add the servers, and wait until HAProxy has found them healthy."""
        for place in self.serving:
            name = _server(place)
            self.runtime.order(
                f"add server {name} {place[1].address}:{place[1].port} {SERVER_OPTIONS}", "New server registered."
            )
            self.runtime.order(f"set server {name} weight 0; enable health {name}; enable server {name}")
        for place in self.serving:
            _until(f"{_server(place)} is UP", lambda place: self._route().passed(place), place)

    def shift(self) -> None:
        """One weight per server, one number for the traffic."""
        for place in self.serving:
            self.runtime.order(f"set server {_server(place)} weight {WEIGHT}")
        self.runtime.order(f"set map {self.split} plain {10_000 if self.slot == 'green' else 0}")

    def retire(self, leaving: Sequence[Place]) -> None:
        """Drain, delete, docker stop."""
        for place in leaving:
            name = _server(place)
            self.runtime.order(f"set server {name} weight 0")
            _until(f"{name} has drained", lambda place: not self._route().busy(place), place)
            self.runtime.order(f"set server {name} state maint")
            _until(f"{name} is deleted", self._deleted, name)
        if names := [endpoint.name for _, endpoint in leaving]:
            self.docker("stop", "--time", str(round(self.ground.shop.runtime.drain)), *names)
            self.docker("rm", *names)

    def _deleted(self, name: str) -> bool:
        return self.runtime.ask(f"del server {name}") == "Server deleted."

    def _route(self) -> Running:
        running = self.runtime.running("plain")
        assert running is not None  # plain_script has started HAProxy with this route
        return running

    @contextmanager
    def _psql(self, program: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        dsn = self.ground.house.secrets.resolve(self.ground.place("plain")[1].database or "")
        command = [str(binaries() / program), *arguments]
        with subprocess.Popen(command, env=libpq(dsn), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            yield process
        if process.returncode:
            raise SystemExit(f"{program} ended with exit code {process.returncode}")


@contextmanager
def plain_script(ground: Ground) -> Iterator[PlainScript]:
    """Lend the script its network and a HAProxy of the same configuration; the stack's purge removes what it leaves."""
    settings = ground.house.settings
    host, name = settings.engine.host, f"{ground.stack.name}-plain"
    label = f"interlock.stack={ground.stack.name}"
    init = Engine(host).api.info()["InitCommit"]["ID"] != "N/A"  # as Interlock: where the engine has docker-init
    flags = ("--label", label, "--network", name, *(["--init"] if init else []))
    env = {**os.environ, "DOCKER_BUILDKIT": "0", **({"DOCKER_HOST": host} if host else {})}
    docker = partial(_docker, program(), env)
    docker("network", "create", "--label", label, name)
    folder, placement = ground.folder / "plain", ground.place("plain")[1]
    home = Folder(folder, settings.router.bind)
    with home.rendering("plain", token=1):
        home.record("plain", 1, Route(name="plain", port=placement.port, health=ground.shop.runtime.health))
    with mark.marking(ground.stack.name):
        router = haproxy.start(folder, settings.router.bind)
    try:
        registry = urlsplit(settings.registry.url).netloc
        yield PlainScript(ground, f"{registry}/plain", docker, Runtime(home.run), home.split, flags, name)
    finally:
        haproxy.stop(router)


def program() -> str:
    """Find Docker's own command: the distribution's, which fits its engine, before any other."""
    found = shutil.which("docker", path=f"/usr/bin:{os.environ['PATH']}")
    if found is None:
        raise SystemExit("the plain script needs the docker command: apt-get install docker.io")
    return found


def _docker(program: str, env: Mapping[str, str], *words: str, given: bytes | None = None) -> str:
    done = subprocess.run([program, *words], input=given, capture_output=True, timeout=300, env=env, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace")[-2000:]
        raise SystemExit(f"docker {words[0]} ended with exit code {done.returncode}: {said}")
    return done.stdout.decode().strip()


def _healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _until(what: str, so: Callable[[T], bool], about: T) -> None:
    give_up = time.monotonic() + _PATIENCE
    while not so(about):
        if time.monotonic() > give_up:
            raise SystemExit(f"waited {_PATIENCE:.0f} s until {what}")
        time.sleep(0.05)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # _psql has opened both
    return pipe


def _server(place: Place) -> str:
    return f"{backend('plain', place[0])}/{place[1].name}:{place[1].address}:{place[1].port}"


def _row(name: str, values: Sequence[float], unit: str) -> str:
    return f"| {name} | {median(values):.2f} {unit} | {min(values):.2f} | {max(values):.2f} |"


def _steps_row(name: str, pairs: Sequence[Sequence[float]]) -> str:
    ours, plain = (median(side) for side in zip(*pairs, strict=True))
    return f"| {name.replace('_', ' ')} | {ours:.2f} s | {plain:.2f} s |"
