"""Running replicas on a Docker Engine."""

import math
import shlex
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from datetime import datetime
from functools import cached_property, partial
from typing import Any

import requests
from docker.errors import APIError, NotFound
from docker.types import LogConfig

from adapters import docker_container as container
from adapters.docker_container import Row
from adapters.docker_engine import Engine, speaking
from adapters.docker_fence import Fence
from adapters.docker_image import fetch
from adapters.docker_network import ensure_network, in_use, own_address
from domain.canonical import sha256
from domain.errors import Rejected
from domain.ports import Secrets
from domain.release.artifact import CommandResult, Deployment, Replica

_AT_ONCE = 8  # requests to the engine in parallel
_OUTPUT = 64 * 1024  # bytes of a command's output that are kept: the last ones
_CHECK = "interlock.check"
_ADDRESSES = 3  # attempts, when another service takes the address that was free a moment ago


class DockerWorkload:
    """The Workload port: one container per replica, on a bridge network per environment.

    Secrets never become variables, labels or layers: they are files below /run/secrets that KEY_FILE variables name.
    """

    def __init__(self, engine: Engine, stack: str, secrets: Secrets) -> None:
        self._engine = engine
        self._stack = stack
        self._secrets = secrets
        self._fence = Fence(engine, stack)

    def start(self, deployment: Deployment) -> tuple[Replica, ...]:
        """Bring up what is missing: a container of the same release, image and config stays, any other is replaced.

        Raises Conflict when a newer owner (a higher token) is at work here or the digest holds another image, Invalid
        when a secret cannot be resolved or the image's command cannot be started.
        """
        doing = f"starting {deployment.service} {deployment.version} in {deployment.environment}"
        with speaking(doing), self._turn(deployment) as insist:
            there = {container.name(row): row for row in self._rows(deployment.service, deployment.environment)}
            make = partial(self._create, deployment, *self._surroundings(deployment))
            names = [f"{self._prefix(deployment)}-{deployment.slot}-{index}" for index in range(deployment.replicas)]
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(lambda name: self._bring_up(deployment, make, name, there.get(name), insist), names))
            rows = self._rows(deployment.service, deployment.environment)
            return tuple(container.replica(row) for row in rows if container.name(row) in names)

    def running(self, service: str, environment: str) -> tuple[Replica, ...]:
        """List the replicas, stopped ones included, by name; one call to the engine."""
        with speaking(f"listing {service} in {environment}"):
            return tuple(map(container.replica, self._rows(service, environment)))

    def logged(self, replica: Replica) -> bool:
        """Tell whether the replica has logged since it last started; False when it is gone."""
        with speaking(f"reading the log of {replica.name}"), suppress(NotFound):
            began = self._engine.api.inspect_container(replica.id)["State"]["StartedAt"]
            since = datetime.fromisoformat(began).timestamp()  # negative (year 1) when it never started
            return since > 0 and bool(self._engine.api.logs(replica.id, since=since, tail=1))
        return False

    def stop(self, replicas: Sequence[Replica], grace: float, token: int) -> None:
        """Ask with SIGTERM, after `grace` seconds (rounded up) with SIGKILL, and remove; all at once.

        Raises Conflict when a newer owner (a higher token) is at work where they run.
        """
        places = {(replica.service, replica.environment) for replica in replicas}
        with speaking("stopping replicas"), ExitStack() as turns, ThreadPoolExecutor(_AT_ONCE) as pool:
            still = {place: turns.enter_context(self._fence.turn(*place, token)) for place in sorted(places)}

            def stop_one(replica: Replica) -> None:
                insist = still[replica.service, replica.environment]
                with suppress(NotFound):
                    self._condemn(replica.id, replica.name, insist)
                    self._engine.api.stop(replica.id, timeout=math.ceil(grace))
                    self._remove(replica.id)

            list(pool.map(stop_one, replicas))

    def claim(self, service: str, environment: str, token: int) -> None:
        """Refuse older owners from now on, and end the commands that one of them still has running."""
        filters = container.filters(self._stack, service, environment)
        filters["label"].append(_CHECK)
        with speaking(f"claiming {service} in {environment}"), self._fence.turn(service, environment, token) as insist:
            for row in self._engine.api.containers(all=True, filters=filters):
                if container.token(row) < token:
                    insist()
                    self._remove(row["Id"])

    def run(self, deployment: Deployment, command: Sequence[str], timeout: float) -> CommandResult:
        """Run a command in place of the image's own; `output` is both streams in order, the last 64 KiB.

        A container that an interrupted run of the same command left behind is removed first. Exit code 127: there is
        no such program (Invalid where the engine has no docker-init). Raises Rejected when the time is up, Conflict
        when a newer owner (a higher token) is at work in the environment.
        """
        what = f"`{shlex.join(command)}` in {deployment.environment}"
        with speaking(f"running {what}"), self._turn(deployment) as insist:
            name = f"{self._prefix(deployment)}-check-{sha256([deployment.release, list(command)])[:12]}"
            with suppress(NotFound):
                left = self._engine.api.inspect_container(name)["Id"]
                insist()
                self._remove(left)
            made = self._create(deployment, *self._surroundings(deployment), name, command)
            try:
                insist()
                self._engine.api.start(made)
                code = self._wait(made, what, timeout)
                return CommandResult(exit_code=code, output=self._output(made))
            finally:
                self._remove(made)

    def _turn(self, deployment: Deployment) -> AbstractContextManager[Callable[[], None]]:
        return self._fence.turn(deployment.service, deployment.environment, deployment.token)

    def _bring_up(
        self, deployment: Deployment, make: partial[str], name: str, there: Row | None, insist: Callable[[], None]
    ) -> None:
        """Have one replica run, in place of whatever has its name."""
        labels = container.labels(deployment, self._stack)
        if there and container.same(there, labels, deployment.artifact.image):
            if there["State"] != "running":
                insist()
                self._engine.api.start(there["Id"])
            return
        if there:
            self._condemn(there["Id"], name, insist)
            self._remove(there["Id"])
        for left in reversed(range(_ADDRESSES)):
            insist()
            made = make(name)
            insist()
            try:
                self._engine.api.start(made)
            except APIError as error:
                if not (left and in_use(error)):
                    raise
                self._remove(made)
            else:
                break

    def _condemn(self, made: str, name: str, insist: Callable[[], None]) -> None:
        """Take a container's name away before it is stopped or removed, and look once more.

        A newer owner keeps nothing that has lost its name: nothing that is about to stop, and nothing that a late
        request can hit. What an overtaken owner leaves behind goes with its slot, or is cleared away as an orphan.
        """
        insist()
        if not name.endswith(container.CONDEMNED):
            self._engine.api.rename(made, f"{name}-{made[:12]}{container.CONDEMNED}")
        insist()

    def _surroundings(self, deployment: Deployment) -> tuple[Row, str]:
        api = self._engine.api
        return fetch(api, deployment.artifact), ensure_network(api, self._stack, deployment.environment)

    def _create(self, deployment: Deployment, image: Row, network: str, name: str, command: Sequence[str] = ()) -> str:
        api = self._engine.api
        files = container.secret_files(deployment, self._secrets, image["Config"].get("User") or "")
        labels = container.labels(deployment, self._stack) | ({_CHECK: "1"} if command else {})
        instead = {"entrypoint": [command[0]], "command": list(command[1:])} if command else self._placed(network, name)
        made = api.create_container(
            image=deployment.artifact.reference,
            name=name,
            labels=labels,
            environment=container.variables(deployment),
            stop_signal="SIGTERM",
            host_config=api.create_host_config(
                network_mode=network,
                nano_cpus=round(deployment.resources.cpus * 1e9),
                mem_limit=deployment.resources.memory,
                # unless-stopped would not do: what a killed engine ends at its next start counts as stopped by hand
                restart_policy={"Name": "no" if command else "always"},
                log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
                init=self._has_init,
            ),
            **instead,
        )
        if files:
            api.put_archive(made["Id"], "/", files)
        return str(made["Id"])

    def _placed(self, network: str, name: str) -> dict[str, Any]:
        """Give a replica an address of its own, which it keeps when the engine is started again."""
        api = self._engine.api
        if (address := own_address(api, network, name)) is None:
            return {}
        own = api.create_endpoint_config(ipv4_address=address)
        return {"networking_config": api.create_networking_config({network: own})}

    def _remove(self, made: str) -> None:
        with suppress(NotFound):
            try:
                self._engine.api.remove_container(made, force=True, v=True)
            except APIError as error:
                if error.status_code != 409:  # 409: somebody else is removing it just now
                    raise

    def _wait(self, made: str, what: str, timeout: float) -> int:
        began = time.monotonic()
        try:
            return int(self._engine.api.wait(made, timeout=timeout)["StatusCode"])
        except (requests.ReadTimeout, requests.ConnectionError) as error:
            if time.monotonic() - began < timeout:
                raise
            said = self._output(made)[-2000:]
            raise Rejected(
                f"{what} was not done after {timeout:g} s\n{said}", "raise its timeout, or mend it"
            ) from error

    def _output(self, made: str) -> str:
        said: bytes = self._engine.api.logs(made)
        return said[-_OUTPUT:].decode(errors="replace")

    def _rows(self, service: str, environment: str) -> list[Row]:
        filters = container.filters(self._stack, service, environment)
        rows: list[Row] = self._engine.api.containers(all=True, filters=filters)
        replicas = (row for row in rows if _CHECK not in row["Labels"] and container.is_replica(row))
        return sorted(replicas, key=container.name)

    @cached_property
    def _has_init(self) -> bool:
        """Tell whether the engine can put docker-init in front (N/A: it has none), so that zombies are reaped."""
        return bool(self._engine.api.info()["InitCommit"]["ID"] != "N/A")

    def _prefix(self, deployment: Deployment) -> str:
        return f"{self._stack}-{deployment.service}-{deployment.environment}"
