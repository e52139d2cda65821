"""The router's folder: one wish per route, everything that HAProxy reads rendered from them, and the locks."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters import haproxy_config
from domain.errors import Unavailable
from domain.release.route import Route


class Folder:
    """Files that survive the router; its layout is in haproxy_config. `bind` is the address users connect to."""

    def __init__(self, root: Path, bind: str) -> None:
        self.root = root.absolute()
        haproxy_config.check_folder(self.root)
        for name in ("routes", "maps", "run", "locks"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.run = self.root / "run"
        self.split = self.root / "maps" / "split.map"
        self._bind = bind

    def segments(self, route: str) -> Path:
        """Name the segment map of a route."""
        return self.root / "maps" / f"{route}.segments.map"

    def wish(self, route: str) -> Route | None:
        """Read the last wish for a route."""
        path = self._wish(route)
        return Route.model_validate_json(path.read_text()) if path.exists() else None

    def names(self) -> list[str]:
        """Name every route that there is a wish for."""
        return sorted(path.name.removesuffix(".json") for path in self.root.glob("routes/[!.]*.json"))

    def record(self, route: str, wish: Route | None) -> None:
        """Write one wish, or withdraw it, and render; call it holding `alone("render")`."""
        if wish is None:
            self._wish(route).unlink(missing_ok=True)
        else:
            _write(self._wish(route), wish.model_dump_json(indent=2))
        self.render()

    def render(self) -> None:
        """Write configuration and maps from all wishes, the configuration last: what it names then exists."""
        wishes = [Route.model_validate_json(path.read_text()) for path in sorted(self.root.glob("routes/*.json"))]
        for name, text in haproxy_config.render(wishes, self.root, self._bind).items():
            _write(self.root / name, text)

    @contextmanager
    def alone(self, what: str, patience: float = 60.0) -> Iterator[None]:
        """Hold a lock among all processes on this folder. Raises Unavailable after `patience` seconds."""
        path = self.root / "locks" / what
        give_up = time.monotonic() + patience
        with path.open("w") as file:
            while not _locked(file.fileno()):
                if time.monotonic() > give_up:
                    raise Unavailable(
                        f"{path}: held by another process for {patience:.0f} s", "wait for its apply to end"
                    )
                time.sleep(0.01)
            yield

    def _wish(self, route: str) -> Path:
        return self.root / "routes" / f"{route}.json"


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(path: Path, text: str) -> None:
    """Replace a file so that a crash leaves the old one or the new one."""
    if path.exists() and path.read_text() == text:
        return
    new = path.with_name(f".{path.name}.new")
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
