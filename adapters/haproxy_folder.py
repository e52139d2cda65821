"""The router's folder: one wish per route, everything that HAProxy reads rendered from them, and the locks.

A wish is filed under the fencing token of the owner who made it, and the highest token counts. So a process that was
stopped, lost its lease and wakes up in the middle of a write replaces nothing but its own wish, which counts no more.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from adapters import haproxy_config
from adapters.haproxy_lock import SharedLock, alone, is_held
from domain.errors import Conflict
from domain.release.route import Route

_WITHDRAWN = "null"
_MARGIN = 0.5  # seconds
_POLL = 0.01  # seconds


class Folder:
    """Files that survive the router; its layout is in haproxy_config. `bind` is the address users connect to."""

    def __init__(self, root: Path, bind: str) -> None:
        self.root = root.absolute()
        haproxy_config.check_folder(self.root)
        for name in ("routes", "maps", "run", "locks"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.run = self.root / "run"
        self.split = self.root / "maps" / "split.map"
        self.bind = bind
        self._rendering = SharedLock(self.root / "locks", "render")

    def segments(self, route: str) -> Path:
        """Name the segment map of a route."""
        return self.root / "maps" / f"{route}.segments.map"

    def insist(self, route: str, token: int) -> None:
        """Raise Conflict when a newer owner has claimed the route."""
        if (newest := max(self._filed().get(route, {}), default=0)) > token:
            raise Conflict(
                f"route {route} was last moved by a newer owner, token {newest}; mine is {token}",
                "stop here and change nothing more: whoever holds the lease now goes on",
            )

    def claim(self, route: str, token: int) -> None:
        """Have an owner's token count for a route from now on, its wish unchanged; call it holding `rendering`.

        Raises Conflict when a higher token counts. The last wish but one stays, for whoever is just reading it.
        """
        self.insist(route, token)
        filed = self._filed().get(route, {})
        if token not in filed:
            _write(self._path(route, token), filed[max(filed)].read_text() if filed else _WITHDRAWN)
            for older in sorted(filed)[:-1]:
                filed[older].unlink(missing_ok=True)

    def outlast(self, route: str, token: int) -> None:
        """Wait until no older owner is in the middle of a turn, or HAProxy has hung up on it; see haproxy_turn."""
        give_up = time.monotonic() + haproxy_config.SILENCE + _MARGIN
        older = [path for path in self._turns(route) if int(path.name.rpartition("@")[2]) < token]
        while time.monotonic() < give_up and any(map(is_held, older)):
            time.sleep(_POLL)
        for path in older:
            path.unlink(missing_ok=True)

    def wish(self, route: str) -> Route | None:
        """Read the wish that counts for a route."""
        return next((wish for wish in self._wishes() if wish.name == route), None)

    def names(self) -> list[str]:
        """Name every route that there is a wish for."""
        return sorted(wish.name for wish in self._wishes())

    def record(self, route: str, token: int, wish: Route | None) -> None:
        """Write an owner's wish, or withdraw it, and render; call it holding `rendering`."""
        _write(self._path(route, token), wish.model_dump_json(indent=2) if wish else _WITHDRAWN)
        self.render()

    def render(self) -> None:
        """Write configuration and maps from all wishes, the configuration last: what it names then exists.

        It ends when the wishes are still those that were rendered: so a process that was stopped in here, and writes
        an old rendering when it wakes up, puts it right itself.
        """
        rendered = None
        while rendered != (wishes := self._wishes()):
            for name, text in haproxy_config.render(wishes, self.root, self.bind).items():
                _write(self.root / name, text)
            rendered = wishes

    def turn(self, route: str, token: int, patience: float) -> AbstractContextManager[None]:
        """Hold a route among all processes of one owner; a newer owner has a lock of its own, and need not wait."""
        return alone(self.root / "locks" / f"route-{route}@{token}", patience)

    def rendering(self, route: str, token: int) -> AbstractContextManager[Callable[[], None]]:
        """Hold what all routes share: the rendered files, and the worker that runs on them. See SharedLock."""
        return self._rendering.held(route, token)

    def _wishes(self) -> list[Route]:
        texts = [filed[max(filed)].read_text() for _, filed in sorted(self._filed().items())]
        return [Route.model_validate_json(text) for text in texts if text != _WITHDRAWN]

    def _filed(self) -> dict[str, dict[int, Path]]:
        """List the wishes: route → token → file. One from before tokens has none in its name, and counts as 0."""
        found: dict[str, dict[int, Path]] = {}
        for path in (self.root / "routes").glob("*.json"):
            route, _, token = path.stem.partition("@")
            found.setdefault(route, {})[int(token or 0)] = path
        return found

    def _path(self, route: str, token: int) -> Path:
        return self.root / "routes" / (f"{route}@{token}.json" if token else f"{route}.json")

    def _turns(self, route: str) -> Iterator[Path]:
        return (self.root / "locks").glob(f"route-{route}@*")


def _write(path: Path, text: str) -> None:
    """Replace a file so that a crash leaves the old one or the new one; two writers never write into one file."""
    if path.exists() and path.read_text() == text:
        return
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with new.open("x") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
