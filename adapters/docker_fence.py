"""The newest owner's fencing token for a service in an environment, kept by the engine that runs its replicas.

Every container carries the token under which it was started. That is not enough: a newer owner keeps the replicas that
it finds, and labels never change. So the token is also the label of an empty volume, the one thing on an engine that
neither runs nor weighs anything. The highest token counts: an overtaken owner cannot take it back.

Docker has no conditional request: an owner that was stopped between this look and a request still sends that one when
it wakes up. Containers lose their name before they are stopped or removed, and a newer owner keeps none without its
name. So a late request stops or removes nothing that a newer owner has kept. It can make a container that nobody
starts, or take a replica's name away: that one serves on, and is told to be leaving. (`docker volume prune` takes the
volumes; the labels still count then.)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from docker.errors import APIError

from adapters import docker_container as container
from adapters.docker_engine import Engine
from domain.errors import Conflict

_NAME = "interlock-{stack}-{service}-{environment}-token-{token}"


class Fence:
    """The tokens of one stack on one engine."""

    def __init__(self, engine: Engine, stack: str) -> None:
        self._engine = engine
        self._stack = stack

    @contextmanager
    def turn(self, service: str, environment: str, token: int) -> Iterator[Callable[[], None]]:
        """Have a token count; yields the question to ask before every request: does it still?

        Raises Conflict when a higher one does, also at the end, whatever else went wrong. Token 0 claims nothing.
        """
        insist = partial(self._insist, service, environment, token)
        insist()
        self._claim(service, environment, token)
        try:
            yield insist
        finally:
            insist()

    def _claim(self, service: str, environment: str, token: int) -> None:
        volumes = self._volumes(service, environment)
        if token > max(volumes.values(), default=0):
            labels = container.place(self._stack, service, environment) | {container.TOKEN: str(token)}
            name = _NAME.format(stack=self._stack, service=service, environment=environment, token=token)
            self._engine.api.create_volume(name, labels=labels)
        for name, older in volumes.items():
            if older < token:
                with suppress(APIError):  # somebody else removes it too
                    self._engine.api.remove_volume(name)

    def _insist(self, service: str, environment: str, token: int) -> None:
        rows = self._engine.api.containers(all=True, filters=container.filters(self._stack, service, environment))
        tokens = {container.name(row): container.token(row) for row in rows if container.is_replica(row)}
        newest = max([*tokens.values(), *self._volumes(service, environment).values()], default=0)
        if newest > token:
            newer = sorted(name for name, started in tokens.items() if started > token)
            who = ", ".join(newer) or f"{service} in {environment}"
            raise Conflict(
                f"{who} belongs to a newer owner, token {newest}; mine is {token}",
                "stop here and change nothing more: whoever holds the lease now goes on",
            )

    def _volumes(self, service: str, environment: str) -> dict[str, int]:
        """List the tokens that were claimed, by the names of their volumes."""
        filters = container.filters(self._stack, service, environment)
        found = self._engine.api.volumes(filters=filters)["Volumes"] or ()
        return {volume["Name"]: token for volume in found if (token := container.token(volume))}
