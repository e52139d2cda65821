"""Debian's dockerd (package docker.io), for machines without an init system that starts it."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from docker.errors import NotFound

from adapters.docker_engine import Engine, speaking
from deployments.embedded.process import Child
from deployments.embedded.process import start as start_process
from domain.errors import Unavailable

SOCKET = "unix:///var/run/docker.sock"


def answers(host: str | None = None) -> bool:
    """Tell whether an engine answers at `host` (None: DOCKER_HOST, or the local socket)."""
    try:
        Engine(host).api.close()
    except Unavailable:
        return False
    return True


def ensure(folder: Path, host: str = SOCKET, options: Sequence[str] = ()) -> Child | None:
    """Use the engine that answers at `host`, and return None; else start one there, logging to `folder`.

    `options` go to dockerd; without any it uses its standard paths, as the package would. A second engine belongs in
    a network namespace of its own: with `--bridge=none` it deletes the docker0 of the one that is there.
    """
    if answers(host):
        return None
    command = ["dockerd", "--host", host, *options]
    return start_process("dockerd", command, folder=folder, ready=lambda: answers(host))


def clear(stack: str, host: str | None = None) -> None:
    """Remove every container, volume, network and image that carries the label of a stack, and nothing else."""
    api, labelled = Engine(host).api, {"label": f"interlock.stack={stack}"}
    with speaking(f"removing what the stack {stack} left on the engine"):
        for row in api.containers(all=True, filters=labelled):
            with suppress(NotFound):
                api.remove_container(row["Id"], force=True, v=True)
        for row in api.volumes(filters=labelled)["Volumes"] or ():
            with suppress(NotFound):
                api.remove_volume(row["Name"])
        for row in api.networks(filters=labelled):
            with suppress(NotFound):
                api.remove_network(row["Id"])
        for row in api.images(filters=labelled):
            with suppress(NotFound):
                api.remove_image(row["Id"], force=True)
