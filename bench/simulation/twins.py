"""The twins in memory as a simulated process reaches them, and with a count of what was really done."""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from adapters.memory.builder import MemoryBuilder
from adapters.memory.database import MemoryDatabase
from adapters.memory.leases import MemoryLeases
from adapters.memory.notices import MemoryNotices
from adapters.memory.probe import Answer, MemoryProbe
from adapters.memory.router import MemoryRouter, MemorySamples
from adapters.memory.source import MemorySource
from adapters.memory.workload import MemoryWorkload
from domain.canary.tick import Tick
from domain.lease import Lease
from domain.release.artifact import Artifact, CommandResult, Deployment, Image, Recipe, Replica
from domain.release.route import Route
from domain.schema.migration import Applied, Migration

if TYPE_CHECKING:
    from bench.simulation.world import World


class Wire:
    """The way to a port: before and after every call is a moment, and a call may not get through, or not come back."""

    def __init__(self, world: "World", name: str, port: Any, *, quiet: Sequence[str] = ()) -> None:
        self._world, self._name, self._port, self._quiet = world, name, port, quiet

    def __getattr__(self, method: str) -> Any:
        world, name, there = self._world, self._name, getattr(self._port, method)
        if not callable(there):
            return there
        before, after = f"before {name} {method}", f"after {name} {method}"

        def loud(*args: Any, **kwargs: Any) -> Any:
            world.moment(before)
            result = quiet(*args, **kwargs)
            world.moment(after)
            return result

        def quiet(*args: Any, **kwargs: Any) -> Any:
            if world.outages:
                world.reach(name, acted=False)
            result = there(*args, **kwargs)
            if world.outages:
                world.reach(name, acted=True)
            return result

        made = quiet if method in self._quiet else loud
        self.__dict__[method] = made
        return made


class WireToRouter(Wire):
    """The same for a router, whose samples take time."""

    @contextmanager
    def samples(self, route: Route, candidate: str) -> Iterator["WireToSamples"]:
        """Listen; each tick takes a second."""
        self._world.reach("router", acted=False)
        with self._port.samples(route, candidate) as samples:
            yield WireToSamples(self._world, samples)


class WireToSamples:
    """A stream of measurements that takes its time."""

    def __init__(self, world: "World", samples: MemorySamples) -> None:
        self._world, self._samples = world, samples

    def tick(self) -> Tick:
        """Wait a second, and count it."""
        self._world.clock.sleep(1.0)
        self._world.moment("before samples tick")
        self._world.reach("router", acted=False)
        return self._samples.tick()


class HeartLeases(MemoryLeases):
    """Leases that know which process keeps them alive, so that a process can fall asleep."""

    def __init__(self, world: "World") -> None:
        super().__init__(world.journal)
        self._world = world

    @contextmanager
    def keep_alive(self, lease: Lease, ttl: float) -> Iterator[None]:
        """Keep it alive while the block runs and its process is awake."""
        process, held = self._world.process, self._held(lease)
        if process is None or held is None:
            yield
            return
        with super().keep_alive(lease, ttl):
            process.hearts.append((held, ttl))
            try:
                yield
            finally:
                process.beat()
                process.hearts.remove((held, ttl))


class CountingBuilder(MemoryBuilder):
    """Builds other bytes each time, as real engines do."""

    def __init__(self, world: "World", images: MutableMapping[str, Artifact]) -> None:
        super().__init__(images)
        self._world = world

    def build(self, recipe: Recipe, context: bytes) -> Image:
        """Build, and count it; what has no working Dockerfile is rejected."""
        self.broken = {recipe.service} if self._world.natures.get(recipe.version) == "unbuildable" else set()
        self._world.effect("build", recipe.service, name=recipe.version, release=recipe.labels["interlock.build"])
        labels = recipe.labels | {"build": str(len(self._world.effects))}
        return super().build(recipe.model_copy(update={"labels": labels}), context)

    def push(self, image: Image, repository: str, tag: str) -> str:
        """Push, and count it."""
        digest = super().push(image, repository, tag)
        self._world.effect("push", repository.rpartition("/")[2], name=f"{tag} {digest}")
        return digest


class CountingWorkload(MemoryWorkload):
    """Replicas whose coming and going is counted."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world

    def start(self, deployment: Deployment) -> tuple[Replica, ...]:
        """Start replicas that are as the version's nature is."""
        nature = self._world.natures.get(deployment.version)
        self.never_ready = {deployment.version} if nature == "never ready" else set()
        self.silent |= {deployment.version} if nature == "silent" else set()
        return super().start(deployment)

    def run(self, deployment: Deployment, command: Sequence[str], timeout: float) -> CommandResult:
        """Run a command, which fails where the version's nature is to be red."""
        self.exit_codes[tuple(command)] = int(self._world.natures.get(deployment.version) == "red")
        return super().run(deployment, command, timeout)

    def stop(self, replicas: Sequence[Replica], grace: float, token: int) -> None:
        """Stop, and count it."""
        before = dict(self.replicas)
        super().stop(replicas, grace, token)
        for gone in [it for name, it in before.items() if name not in self.replicas]:
            self._world.effect("remove", gone.service, gone.environment, gone.name, gone.release, token)

    def _bring_up(self, name: str, deployment: Deployment) -> Replica:
        before = self.replicas.get(name)
        made = super()._bring_up(name, deployment)
        if before is None or before.id != made.id:
            what, release = ("replace", deployment.release) if before else ("create", deployment.release)
            self._world.effect(what, made.service, made.environment, name, release, deployment.token)
        return made


class CountingRouter(MemoryRouter):
    """A router whose every turn is kept with its owner's token."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world

    def apply(self, route: Route, token: int) -> None:
        """Obey, and count it."""
        super().apply(route, token)
        service, _, environment = route.name.partition("-")
        self._world.effect("apply", service, environment, route.name, "", token, route)


class CountingDatabase(MemoryDatabase):
    """A database that counts the migrations which it really ran."""

    def __init__(self, world: "World", service: str, environment: str) -> None:
        super().__init__()
        self._world, self._where = world, (service, environment)

    def migrate(self, step: Migration, release: str, *patience: Any) -> Applied:
        """Apply a migration, unless the version's nature is that somebody holds its locks."""
        version = release.removeprefix(f"{self._where[0]}-v").rpartition("-")[0]
        self.holder = "a report, for hours" if self._world.natures.get(version) == "locked out" else ""
        return super().migrate(step, release, *patience)

    def _run(self, step: Migration) -> None:
        super()._run(step)
        self._world.effect("migrate", *self._where, step.label, token=self._token)


class CountingNotices(MemoryNotices):
    """Channels that count what arrives."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world

    def deliver(self, group: str, title: str, body: str, key: str) -> None:
        """Deliver, and count it."""
        super().deliver(group, title, body, key)
        self._world.effect("notify", "", name=f"{group} {key}")


class SlowProbe(MemoryProbe):
    """Answers after some milliseconds, never twice the same, so that no two logs of a check are alike."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world

    def request(self, method: str, url: str, body: str | None, timeout: float) -> Answer:
        """Take a while, then answer."""
        self._world.clock.sleep(0.003 + 0.001 * (len(self.asked) % 7))
        return super().request(method, url, body, timeout)


class PackedSource(MemorySource):
    """Packs each commit once."""

    def __init__(self) -> None:
        super().__init__()
        self._packed: dict[str, bytes] = {}

    def archive(self, commit: str) -> bytes:
        """Export a commit as a tar."""
        if commit not in self._packed:
            self._packed[commit] = super().archive(commit)
        return self._packed[commit]


def databases(world: "World", service: str, environments: Sequence[str]) -> Mapping[str, CountingDatabase]:
    """Make a database for every environment of a service."""
    return {environment: CountingDatabase(world, service, environment) for environment in environments}
