"""Everything on a Docker Engine that carries a stack's label: containers, networks, volumes, images."""

import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from docker.errors import APIError, NotFound

from adapters import docker_container as container
from adapters.docker_build import mark
from adapters.docker_engine import Engine, speaking
from domain.environment.orphans import Belonging, Kind

_GRACE = 2  # seconds between SIGTERM and SIGKILL: nobody sends requests to what nobody owns


class DockerKeeper:
    """The Keeper port on one engine: what carries the label `interlock.stack=<stack>`, and nothing else."""

    def __init__(self, engine: Engine, stack: str) -> None:
        self._engine = engine
        self._stack = stack
        self._labelled = {"label": f"interlock.stack={stack}"}

    def belongings(self) -> tuple[Belonging, ...]:
        """List them; in use is a network with containers attached, a volume or image that any container has."""
        with speaking(f"listing what belongs to {self._stack}"):
            rows = self._engine.api.containers(all=True)  # everybody's: they may use what is ours
            volumes = {mount.get("Name", "") for row in rows for mount in row["Mounts"]}
            images = {row["ImageID"] for row in rows}
            cut_off = self._cut_off_builds(rows)
            return (*self._containers(), *cut_off, *self._networks(), *self._volumes(volumes), *self._images(images))

    def discard(self, belonging: Belonging, token: int) -> bool:
        """Remove one, an image with the untagged layers that it alone was built on.

        The label is looked at again: a name may be another thing's by now. False, too, when the engine says no.
        """
        look, remove = self._ways[belonging.kind]
        with speaking(f"removing {belonging.says}"):
            try:
                seen = look(belonging.id)
                said = _labels(seen)
                if said.get("interlock.stack") != self._stack and not self._built(seen):
                    return False
                if container.token({"Labels": said}) > token:
                    return False
                if belonging.kind == "image" and self._runs(belonging.id):
                    return False  # by force it would go from under a stopped container
                remove(belonging.id)
            except NotFound:
                return True
            except APIError as error:
                if error.status_code in (403, 409):  # in use: somebody was quicker
                    return False
                raise
        return True

    @property
    def _ways(self) -> Mapping[Kind, tuple[Callable[[str], Any], Callable[[str], Any]]]:
        api = self._engine.api
        return {
            "container": (api.inspect_container, self._remove_container),
            "network": (api.inspect_network, api.remove_network),
            "volume": (api.inspect_volume, api.remove_volume),
            "image": (api.inspect_image, self._remove_image),
        }

    def _containers(self) -> Iterator[Belonging]:
        """Whoever runs our image by hand inherits its labels: the environment is on what we start, and on no image."""
        labels = [f"interlock.stack={self._stack}", "interlock.environment"]
        for row in self._engine.api.containers(all=True, filters={"label": labels}):
            networks = (row.get("NetworkSettings") or {}).get("Networks") or {}
            address = next((network["IPAddress"] for network in networks.values()), "")
            known = _owner(row["Labels"]) | {"address": address, "age": time.time() - row["Created"]}
            yield Belonging(kind="container", id=row["Id"], name=row["Names"][0].lstrip("/"), **known)

    def _cut_off_builds(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Belonging]:
        """List what a build left when its engine was killed: it has no label, but knows a host that only builds do."""
        for row in rows:
            if "interlock.environment" in (row["Labels"] or {}) or row["State"] not in ("created", "exited", "dead"):
                continue
            with suppress(NotFound):  # a build that is under way removes its own
                if service := self._built(self._engine.api.inspect_container(row["Id"])):
                    known = {"service": service, "environment": "build", "age": time.time() - row["Created"]}
                    yield Belonging(kind="container", id=row["Id"], name=row["Names"][0].lstrip("/"), **known)

    def _built(self, seen: Mapping[str, Any]) -> str:
        """Name the service that a container was made to build; empty when it is no build's of this stack."""
        first, last = mark("*", self._stack).split("*")
        hosts = (seen.get("HostConfig") or {}).get("ExtraHosts") or []
        names = (host.partition(":")[0] for host in hosts)
        ours = (name for name in names if name.startswith(first) and name.endswith(last))
        return next((name.removeprefix(first).removesuffix(last) for name in ours), "")

    def _networks(self) -> Iterator[Belonging]:
        for row in self._engine.api.networks(filters=self._labelled):
            attached = self._engine.api.inspect_network(row["Id"]).get("Containers") or {}
            known = _owner(row["Labels"]) | {"age": _since(row["Created"]), "in_use": bool(attached)}
            yield Belonging(kind="network", id=row["Id"], name=row["Name"], **known)

    def _volumes(self, in_use: Container[str]) -> Iterator[Belonging]:
        """List volumes; those that remember a token are nobody's to clear away."""
        for row in self._engine.api.volumes(filters=self._labelled)["Volumes"] or []:
            if container.TOKEN in (row["Labels"] or {}):
                continue
            used = row["Name"] in in_use
            known = _owner(row["Labels"]) | {"age": _since(row["CreatedAt"]), "in_use": used}
            yield Belonging(kind="volume", id=row["Name"], name=row["Name"], **known)

    def _images(self, in_use: Container[str]) -> Iterator[Belonging]:
        for row in self._engine.api.images(filters=self._labelled):
            used = row["Id"] in in_use
            known = _owner(row["Labels"]) | {"age": time.time() - row["Created"], "in_use": used}
            tags = [tag for tag in row["RepoTags"] or [] if tag != "<none>:<none>"]
            yield Belonging(kind="image", id=row["Id"], name=tags[0] if tags else row["Id"][:19], **known)

    def _remove_container(self, made: str) -> None:
        self._engine.api.stop(made, timeout=_GRACE)
        self._engine.api.remove_container(made, force=True, v=True)

    def _runs(self, image: str) -> bool:
        """Tell whether any container, whosever it is and stopped ones included, has an image or one made from it."""
        return bool(self._engine.api.containers(all=True, quiet=True, filters={"ancestor": image}))

    def _remove_image(self, image: str) -> None:
        self._engine.api.remove_image(image, force=True)  # it may have several tags


def _owner(labels: Mapping[str, str]) -> dict[str, Any]:
    """Read whose it is; images name their release under `build`."""
    said = {name: labels.get(f"interlock.{name}", "") for name in ("service", "environment", "release", "build")}
    built = said.pop("build")
    return said | {"release": said["release"] or built}


def _labels(seen: Mapping[str, Any]) -> Mapping[str, str]:
    """Find the labels of what was inspected: containers and images have them inside Config."""
    return (seen.get("Config") or seen).get("Labels") or {}


def _since(created: str) -> float:
    return time.time() - datetime.fromisoformat(created).timestamp()
