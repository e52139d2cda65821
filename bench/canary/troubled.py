"""Versions of the shop that have something wrong with them, as commits on top of v1.4.0.

Trouble meets only who says who he is (`x-user-id`), as the load does and a smoke check does not: it is for the judge.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from domain.value import Value

BASE = "v1.4.0"
_WHO = ("-c", "user.name=Bench", "-c", "user.email=bench@example.com", "-c", "commit.gpgSign=false")
_MIDDLEWARE = "middleware=[Middleware(ExceptionMiddleware"
_TROUBLE = '''"""What is wrong with this version, for a bench."""

import asyncio
import random
import signal
from typing import Any

from starlette.responses import JSONResponse

SECONDS, FACTOR, ERRORS, SICK, LEAK = {seconds}, {factor}, {errors}, {sick}, {leak}


class Trouble:
    """Takes its time, and sometimes fails; a replica that was sent SIGUSR1 is sick."""

    def __init__(self, app: Any) -> None:
        self.app, self.kept, self.errors = app, [], ERRORS
        signal.signal(signal.SIGUSR1, self.fall_ill)

    def fall_ill(self, *_: Any) -> None:
        self.errors = SICK

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or b"x-user-id" not in dict(scope["headers"]):
            return await self.app(scope, receive, send)
        await asyncio.sleep(SECONDS * FACTOR * random.lognormvariate(0, 0.25))
        if LEAK:
            self.kept.append(random.randbytes(LEAK))
        if random.random() < self.errors:
            return await JSONResponse({{"error": "a bad day"}}, status_code=500)(scope, receive, send)
        return await self.app(scope, receive, send)
'''


class Trouble(Value):
    """What a version does to its users: how slow it is, how often it fails, how many bytes a request leaves behind."""

    seconds: float = 0.04
    factor: float = 1.0
    errors: float = 0.0
    sick: float = 0.0
    leak: int = 0


@dataclass
class Versions:
    """The shop's repository, and how many versions were made in it."""

    repository: Path
    made: int = 0

    def commit(self, trouble: Trouble) -> str:
        """Commit a version that has this trouble; returns its tag."""
        self.made += 1
        tag = f"v3.0.{self.made}"
        self._git("checkout", "--quiet", "--detach", BASE)
        web, package = self.repository / "shop/web.py", self.repository / "shop/__init__.py"
        text = web.read_text()
        if _MIDDLEWARE not in text:
            raise SystemExit(f"{web}: the middleware is put in elsewhere by now; see {__name__}")
        text = text.replace(_MIDDLEWARE, "middleware=[Middleware(Trouble), Middleware(ExceptionMiddleware")
        web.write_text(
            text.replace(
                "from shop.store import Store", "from shop.store import Store\nfrom shop.trouble import Trouble"
            )
        )
        (self.repository / "shop/trouble.py").write_text(_TROUBLE.format(**trouble.model_dump()))
        package.write_text(f"{package.read_text()}TROUBLE = {tag!r}\n")
        self._git("add", "--all")
        self._git(*_WHO, "commit", "--quiet", "--no-verify", "-m", f"feat: {tag}")
        self._git("tag", tag)
        return tag

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", "-C", str(self.repository), *arguments], check=True, timeout=60, capture_output=True)
