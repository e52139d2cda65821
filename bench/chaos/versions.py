"""Versions of the shop that cost little: each is one commit on top of v1.4.0, told apart by a constant.

A star and not a line, so that the history stays short however many there are. Migrations pile up: each commit carries
all that were made before it, as later versions of a real service do.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from examples.shop.history import make_history

BASE = "v1.4.0"
KNOWN = ("v2.0.1", "v2.0.2")
"""Published before the first fault: a release of these finds its image, and changes no schema."""

BAD = "v2.0.3"
"""Passes its checks, and fails for everybody who says who they are, as the load does."""

_MIGRATIONS = "db/migrations"
_EXPAND = "-- interlock: phase=expand tx=on timeout=30s\nalter table orders add column chaos_{number} text;\n"
_UNFOLD = "alter table orders drop column chaos_{number};\n"
_LISTING = '        """List what is for sale."""\n'
_BROKEN = '        if "x-user-id" in _.headers:\n            raise RuntimeError("a bad day")\n'
_WHO = ("-c", "user.name=Chaos", "-c", "user.email=chaos@example.com", "-c", "commit.gpgSign=false")


@dataclass(frozen=True)
class Made:
    """A version, and all that its migrations add to v1.4.0, whatever of it a database has already."""

    tag: str
    columns: frozenset[str] = frozenset()
    migrations: frozenset[int] = frozenset()

    @property
    def version(self) -> str:
        """Name it without the tag's prefix."""
        return self.tag.removeprefix("v")


class Versions:
    """The shop's repository, and the versions made in it."""

    def __init__(self, repository: Path) -> None:
        self._repository = make_history(repository)
        self._made = 0
        self._piled: dict[str, str] = {}
        for tag in KNOWN:
            self._commit(tag, {})
        listing = self._git("show", f"{BASE}:shop/web.py")
        self._commit(BAD, {"shop/web.py": listing.replace(_LISTING, _LISTING + _BROKEN)})
        listed = self._git("ls-tree", "--name-only", BASE, f"{_MIGRATIONS}/").split()
        self._first = self._numbered = max(int(Path(path).name[:4]) for path in listed if path.endswith(".up.sql"))

    def fresh(self, *, migrating: bool) -> Made:
        """Commit something never built before, with one more expand migration if wanted."""
        self._made += 1
        if migrating:
            self._numbered += 1
            script = f"{_MIGRATIONS}/{self._numbered:04d}_chaos_{self._numbered}"
            self._piled[f"{script}.up.sql"] = _EXPAND.format(number=self._numbered)
            self._piled[f"{script}.down.sql"] = _UNFOLD.format(number=self._numbered)
        tag = f"v2.1.{self._made}"
        self._commit(tag, self._piled)
        numbers = range(self._first + 1, self._numbered + 1)
        return Made(tag, frozenset(f"orders.chaos_{number}" for number in numbers), frozenset(numbers))

    def _commit(self, tag: str, files: dict[str, str]) -> None:
        self._git("checkout", "--quiet", "--detach", BASE)
        package = f"{self._git('show', f'{BASE}:shop/__init__.py')}CHAOS = {tag!r}\n"
        for path, text in {**files, "shop/__init__.py": package}.items():
            (self._repository / path).write_text(text)
        self._git("add", "--all")
        self._git(*_WHO, "commit", "--quiet", "--no-verify", "-m", f"feat: {tag}")
        self._git("tag", tag)

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self._repository), *arguments]
        return subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout
