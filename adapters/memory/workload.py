"""Replicas in memory, with knobs for what can go wrong."""

from collections.abc import Sequence

from adapters.memory.probe import NOWHERE
from domain.environment.orphans import Belonging
from domain.errors import Conflict, Rejected
from domain.ports import Secrets
from domain.release.artifact import CommandResult, Deployment, Replica


class MemoryWorkload:
    """Replicas by name. Put a version into a knob, and its replicas misbehave from their next start on.

    `never_ready`: they run where a MemoryProbe never gets an answer; `crashed`: they stopped at once; `silent`: they
    log nothing. `exit_codes`: command → what it ends with (0 when not named), None: it never ends.
    `ran`: every (environment, version, command) that was run, in order. `leftovers`: whatever else the engine keeps.
    """

    def __init__(self, secrets: Secrets | None = None) -> None:
        self.replicas: dict[str, Replica] = {}
        self.never_ready: set[str] = set()
        self.crashed: set[str] = set()
        self.silent: set[str] = set()
        self.exit_codes: dict[tuple[str, ...], int | None] = {}
        self.ran: list[tuple[str, str, tuple[str, ...]]] = []
        self.leftovers: list[Belonging] = []
        self._secrets = secrets
        self._tokens: dict[tuple[str, str], int] = {}
        self._started = 0

    def start(self, deployment: Deployment) -> tuple[Replica, ...]:
        """Bring up what is missing; a replica of the same release, image and config stays."""
        self.claim(deployment.service, deployment.environment, deployment.token)
        if self._secrets:
            for value in deployment.config.values():
                if value.startswith("secret://"):
                    self._secrets.resolve(value)
        prefix = f"{deployment.service}-{deployment.environment}-{deployment.slot}"
        return tuple(self._bring_up(f"{prefix}-{index}", deployment) for index in range(deployment.replicas))

    def running(self, service: str, environment: str) -> tuple[Replica, ...]:
        """List the replicas, stopped ones included, by name."""
        mine = (r for r in self.replicas.values() if (r.service, r.environment) == (service, environment))
        return tuple(sorted(mine, key=lambda replica: replica.name))

    def logged(self, replica: Replica) -> bool:
        """Tell whether it is there and not silent."""
        there = self.replicas.get(replica.name)
        return there is not None and there.id == replica.id and there.version not in self.silent

    def stop(self, replicas: Sequence[Replica], grace: float, token: int) -> None:  # noqa: ARG002  # no grace needed
        """Forget replicas."""
        for service, environment in {(replica.service, replica.environment) for replica in replicas}:
            self.claim(service, environment, token)
        for replica in replicas:
            if (there := self.replicas.get(replica.name)) and there.id == replica.id:
                del self.replicas[replica.name]

    def run(self, deployment: Deployment, command: Sequence[str], timeout: float) -> CommandResult:
        """Answer as `exit_codes` says."""
        self.claim(deployment.service, deployment.environment, deployment.token)
        self.ran.append((deployment.environment, deployment.version, tuple(command)))
        code = self.exit_codes.get(tuple(command), 0)
        if code is None:
            raise Rejected(f"`{' '.join(command)}` was not done after {timeout:g} s", "raise its timeout, or mend it")
        return CommandResult(exit_code=code, output=f"{' '.join(command)}: {code}\n")

    def belongings(self) -> tuple[Belonging, ...]:
        """List replicas and leftovers."""
        return (*map(_container, self.replicas.values()), *self.leftovers)

    def discard(self, belonging: Belonging, token: int) -> bool:
        """Forget it; False while it is in use, or when it is a newer owner's."""
        for leftover in [it for it in self.leftovers if it.id == belonging.id]:
            if leftover.in_use:
                return False
            self.leftovers.remove(leftover)
        if any(it.id == belonging.id and it.token > token for it in self.replicas.values()):
            return False
        self.replicas = {name: it for name, it in self.replicas.items() if it.id != belonging.id}
        return True

    def claim(self, service: str, environment: str, token: int) -> None:
        """Refuse older owners from now on."""
        if (newest := self._tokens.get((service, environment), 0)) > token:
            names = ", ".join(replica.name for replica in self.running(service, environment)) or service
            raise Conflict(f"{names} belong to a newer owner, token {newest}; mine is {token}", "change nothing more")
        self._tokens[service, environment] = token

    def _bring_up(self, name: str, deployment: Deployment) -> Replica:
        wanted = (deployment.release, deployment.slot, deployment.artifact.image, deployment.config_digest)
        there = self.replicas.get(name)
        same = there and (there.release, there.slot, there.image, there.config_digest) == wanted
        if there and same and there.running:
            self.replicas[name] = there.model_copy(update={"running": deployment.version not in self.crashed})
            return self.replicas[name]
        self._started += 1
        reachable = f"10.0.{self._started // 250}.{self._started % 250 + 1}"  # a stopped one comes back elsewhere, too
        self.replicas[name] = Replica(
            id=there.id if there and same else f"{name}#{self._started}",
            name=name,
            address=NOWHERE if deployment.version in self.never_ready else reachable,
            port=deployment.runtime.port,
            image=deployment.artifact.image,
            service=deployment.service,
            environment=deployment.environment,
            release=deployment.release,
            version=deployment.version,
            slot=deployment.slot,
            token=deployment.token,
            config_digest=deployment.config_digest,
            running=deployment.version not in self.crashed,
        )
        return self.replicas[name]


def _container(it: Replica) -> Belonging:
    known = it.model_dump(include={"id", "name", "service", "environment", "release", "address"})
    return Belonging(kind="container", **known)
