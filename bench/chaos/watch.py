"""Watch what happens to engine and router while a fault is on, so that what happened twice is seen to."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
import urllib3
from docker.errors import DockerException

from adapters.docker_engine import Engine
from adapters.haproxy_runtime import Runtime
from domain.errors import ReleaseError

_PERIOD = 0.02  # seconds between two looks at the share


@dataclass(frozen=True)
class Effect:
    """Something that the engine did: `create` or `start` a container, `push` an image; `release` as it is labelled."""

    what: str
    name: str
    release: str


class Watch:
    """Collects every effect on the engine, and every change of a route's share, from `with` to its end.

    An engine or a router that is away is asked again; what the engine did is told later, from its own memory.
    """

    def __init__(self, host: str | None, router: Path, route: str) -> None:
        self.effects: list[Effect] = []
        self.shares: list[int] = []
        self._host = host
        self._runtime = Runtime(router / "run", timeout=1.0)
        self._split = router / "maps" / "split.map"
        self._route = route
        self._over = threading.Event()
        self._since = time.time()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Begin."""
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._poll)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; what the engine has not told yet is asked for."""
        self._over.set()
        self._threads[1].join()
        self._threads[0].join(timeout=10)

    def _listen(self) -> None:
        """Read the engine's events in short stretches, each from where the last one ended."""
        last = False
        while not last:
            last, until = self._over.wait(1.0), time.time()
            with suppress(ReleaseError, DockerException, requests.RequestException, urllib3.exceptions.HTTPError):
                self._stretch(until)
                self._since = until

    def _stretch(self, until: float) -> None:
        api = Engine(self._host).api
        try:
            since = f"{self._since:.6f}"
            for event in api.events(since=since, until=f"{until:.6f}", decode=True):
                if effect := effect_of(event):
                    self.effects.append(effect)
        finally:
            api.close()

    def _poll(self) -> None:
        while not self._over.wait(_PERIOD):
            with suppress(ReleaseError, ValueError):
                share = int(self._runtime.entries(self._split).get(self._route, ""))
                if not self.shares or self.shares[-1] != share:
                    self.shares.append(share)


def effect_of(event: dict[str, Any]) -> Effect | None:
    """Read one event of the engine; None when it is none that counts."""
    about = event.get("Actor", {}).get("Attributes", {})
    match event.get("Type"), event.get("Action"):
        case "container", "create" | "start" as what:
            if "interlock.check" in about or "interlock.slot" not in about:
                return None  # a check's, or a build's: these are run again, and leave nothing
            return Effect(what, about.get("name", ""), about.get("interlock.release", ""))
        case "image", "push":
            return Effect("push", event["Actor"]["ID"], "")
    return None


def patiently(done: Callable[[], bool], patience: float, pause: float = 0.1) -> bool:
    """Wait until something is so; False when it is not after `patience` seconds."""
    give_up = time.monotonic() + patience
    while not done():
        if time.monotonic() > give_up:
            return False
        time.sleep(pause)
    return True
