"""Running replicas on a Docker Engine."""

import math
import re
import shlex
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import cached_property, partial

import requests
from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import LogConfig

from adapters import docker_container as container
from adapters.docker_container import Row
from adapters.docker_engine import Engine, speaking
from domain.canonical import sha256
from domain.errors import Conflict, Rejected, Unavailable
from domain.ports import Secrets
from domain.release.artifact import Artifact, CommandResult, Deployment, Replica

_AT_ONCE = 8  # requests to the engine in parallel
_OUTPUT = 64 * 1024  # bytes of a command's output that are kept: the last ones
_CHECK = "interlock.check"
_ABSENT = re.compile(r"not found|manifest unknown|name unknown", re.I)


class DockerWorkload:
    """The Workload port: one container per replica, on a bridge network per environment.

    Secrets never become variables, labels or layers: they are files below /run/secrets that KEY_FILE variables name.
    """

    def __init__(self, engine: Engine, stack: str, secrets: Secrets) -> None:
        self._engine = engine
        self._stack = stack
        self._secrets = secrets

    def start(self, deployment: Deployment) -> tuple[Replica, ...]:
        """Bring up what is missing: a container of the same release, image and config stays, any other is replaced.

        Raises Conflict when a newer owner (a higher token) has started replicas here or the digest holds another
        image, Invalid when a secret cannot be resolved or the image's command cannot be started.
        """
        with speaking(f"starting {deployment.service} {deployment.version} in {deployment.environment}"):
            there = {container.name(row): row for row in self._rows(deployment.service, deployment.environment)}
            if newer := [name for name, row in there.items() if container.token(row) > deployment.token]:
                raise Conflict(f"{newer[0]} belongs to a newer owner", f"token {deployment.token} is no longer current")
            make = partial(self._create, deployment, self._image(deployment.artifact), self._network(deployment))
            names = [f"{self._prefix(deployment)}-{deployment.slot}-{index}" for index in range(deployment.replicas)]
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(lambda name: self._bring_up(deployment, make, name, there.get(name)), names))
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

    def stop(self, replicas: Sequence[Replica], grace: float, token: int) -> None:  # noqa: ARG002  # compared next
        """Ask with SIGTERM, after `grace` seconds (rounded up) with SIGKILL, and remove; all at once."""

        def stop_one(replica: Replica) -> None:
            with suppress(NotFound):
                self._engine.api.stop(replica.id, timeout=math.ceil(grace))
                self._remove(replica.id)

        with speaking("stopping replicas"), ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(stop_one, replicas))

    def run(self, deployment: Deployment, command: Sequence[str], timeout: float) -> CommandResult:
        """Run a command in place of the image's own; `output` is both streams in order, the last 64 KiB.

        A container that an interrupted run of the same command left behind is removed first. Exit code 127: there is
        no such program (Invalid where the engine has no docker-init). Raises Rejected when the time is up.
        """
        what = f"`{shlex.join(command)}` in {deployment.environment}"
        with speaking(f"running {what}"):
            name = f"{self._prefix(deployment)}-check-{sha256([deployment.release, list(command)])[:12]}"
            self._remove(name)
            try:
                image, network = self._image(deployment.artifact), self._network(deployment)
                made = self._create(deployment, image, network, name, command)
                self._engine.api.start(made)
                code = self._wait(made, what, timeout)
                return CommandResult(exit_code=code, output=self._output(made))
            finally:
                self._remove(name)

    def _bring_up(self, deployment: Deployment, make: partial[str], name: str, there: Row | None) -> None:
        labels = container.labels(deployment, self._stack)
        if there and container.same(there, labels, deployment.artifact.image):
            if there["State"] != "running":
                self._engine.api.start(there["Id"])
            return
        if there:
            self._remove(there["Id"])
        self._engine.api.start(make(name))

    def _create(self, deployment: Deployment, image: Row, network: str, name: str, command: Sequence[str] = ()) -> str:
        api = self._engine.api
        files = container.secret_files(deployment, self._secrets, image["Config"].get("User") or "")
        labels = container.labels(deployment, self._stack) | ({_CHECK: "1"} if command else {})
        instead = {"entrypoint": [command[0]], "command": list(command[1:])} if command else {}
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
                restart_policy={"Name": "no" if command else "unless-stopped"},
                log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
                init=self._has_init,
            ),
            **instead,
        )
        if files:
            api.put_archive(made["Id"], "/", files)
        return str(made["Id"])

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
        wanted = {"stack": self._stack, "service": service, "environment": environment}
        filters = {"label": [f"interlock.{name}={value}" for name, value in wanted.items()]}
        rows: list[Row] = self._engine.api.containers(all=True, filters=filters)
        replicas = (row for row in rows if _CHECK not in row["Labels"] and container.is_replica(row))
        return sorted(replicas, key=container.name)

    def _image(self, artifact: Artifact) -> Row:
        """Have the image on the engine, by digest. Raises Conflict when it is another one or the registry lost it."""
        try:
            found: Row = self._engine.api.inspect_image(artifact.reference)
        except ImageNotFound:
            self._pull(artifact.reference)
            found = self._engine.api.inspect_image(artifact.reference)
        if found["Id"] != artifact.image:
            raise Conflict(f"{artifact.reference} is {found['Id']}, recorded as {artifact.image}", "do not deploy it")
        return found

    def _pull(self, reference: str) -> None:
        try:
            for line in self._engine.api.pull(reference, stream=True, decode=True):
                if said := line.get("error"):
                    missing = _ABSENT.search(said)
                    raise (Conflict if missing else Unavailable)(f"pulling {reference}: {said}", "check the registry")
        except NotFound as error:
            raise Conflict(f"{reference} is not in the registry", "publish the version again") from error

    def _network(self, deployment: Deployment) -> str:
        """Find or make the environment's network.

        The engine lets two networks have one name, and then takes neither; it never lets two have one bridge. So the
        bridge is named too (15 characters at most), and of several makers one succeeds.
        """
        name, api = f"interlock-{self._stack}-{deployment.environment}", self._engine.api
        labels = {"interlock.stack": self._stack, "interlock.environment": deployment.environment}
        bridge = {"com.docker.network.bridge.name": f"il-{sha256(labels)[:12]}"}
        refused = ""
        for _ in range(100):
            if found := [row["Id"] for row in api.networks(names=[name]) if row["Name"] == name]:
                return str(found[0])
            try:
                return str(api.create_network(name, driver="bridge", options=bridge, labels=labels)["Id"])
            except APIError as error:
                if error.status_code not in (403, 409):
                    raise
                refused = str(error.explanation)
            time.sleep(0.05)  # somebody else has the bridge, and the network shows in a moment
        raise Unavailable(f"network {name} cannot be made: {refused}", "look at docker network ls")

    @cached_property
    def _has_init(self) -> bool:
        """Tell whether the engine can put docker-init in front (N/A: it has none), so that zombies are reaped."""
        return bool(self._engine.api.info()["InitCommit"]["ID"] != "N/A")

    def _prefix(self, deployment: Deployment) -> str:
        return f"{self._stack}-{deployment.service}-{deployment.environment}"
