"""Building and publishing images with a Docker Engine."""

import io
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import requests
import urllib3
from docker.errors import APIError

from adapters.docker_engine import Engine, speaking
from domain.errors import Rejected, Unavailable
from domain.release.artifact import Image, Recipe

_TAIL = 30  # lines of the build's log that an error quotes, taken from its last 500 pieces
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_REFUSED = re.compile(r"denied|unauthorized|authentication required|forbidden|insufficient_scope|invalid", re.I)


class DockerBuild:
    """The Builder port on the engine's classic builder: the context is the tar, as given, and nothing else."""

    def __init__(self, engine: Engine, stack: str) -> None:
        self._engine = engine
        self._stack = stack

    def build(self, recipe: Recipe, context: bytes) -> Image:
        """Build and label an image; equal contexts come from the engine's cache.

        Raises Rejected with the end of the log when the build fails or takes longer than `recipe.timeout` (twice
        that at most, when a step that is silent till then began just before).
        """
        what = f"building {recipe.service} {recipe.version} ({recipe.commit[:12]})"
        log: deque[str] = deque(maxlen=500)
        built = ""
        with speaking(what):
            try:
                for line in self._lines(recipe, context):
                    log.append(line.get("stream", ""))
                    built = line.get("aux", {}).get("ID", built)
                    if said := line.get("error"):
                        raise _rejected(what, said, log)
            except (urllib3.exceptions.ReadTimeoutError, requests.ReadTimeout, TimeoutError) as error:
                raise _rejected(what, f"not done after {recipe.timeout:g} s", log) from error
            except APIError as error:  # before the first step: no such Dockerfile, or one that does not parse
                if error.is_client_error() or "dockerfile" in str(error.explanation).lower():
                    raise _rejected(what, str(error.explanation), log) from error
                raise
        if not built:
            raise Unavailable(f"{what}: the engine's answer ended before the image was named", "build again")
        return Image(id=built)

    def find(self, labels: Mapping[str, str]) -> Image | None:
        """Find the newest image that carries all these labels."""
        with speaking("looking for an image"):
            api = self._engine.api
            rows = api.images(filters={"label": [f"{name}={value}" for name, value in labels.items()]}, quiet=True)
            newest = max(
                rows, key=lambda found: datetime.fromisoformat(api.inspect_image(found)["Created"]), default=None
            )
        return Image(id=newest) if newest else None

    def push(self, image: Image, repository: str, tag: str) -> str:
        """Upload under a tag; return the manifest digest that the registry accepted.

        Raises Invalid when the engine does not have the image, Rejected when the registry refuses it.
        """
        what = f"pushing {repository}:{tag}"
        digest = ""
        with speaking(what):
            self._engine.api.tag(image.id, repository, tag)
            for line in self._engine.api.push(repository, tag=tag, stream=True, decode=True):
                digest = line.get("aux", {}).get("Digest", digest)
                if said := line.get("error"):
                    if _REFUSED.search(said):
                        raise Rejected(f"{what}: {said}", "may this engine publish there? see docker login")
                    raise Unavailable(f"{what}: {said}", "does the registry answer?")
        if not digest:
            raise Unavailable(f"{what}: the engine's answer ended before the digest", "push again")
        return digest

    def _lines(self, recipe: Recipe, context: bytes) -> Iterator[dict[str, Any]]:
        """Run the build and yield its log. Raises TimeoutError; closing the stream cancels the build."""
        labels = {"service": recipe.service, "version": recipe.version, "commit": recipe.commit, "stack": self._stack}
        give_up = time.monotonic() + recipe.timeout
        for line in self._engine.api.build(
            fileobj=io.BytesIO(context),
            custom_context=True,
            dockerfile=recipe.dockerfile,
            buildargs=recipe.args,
            extra_hosts={mark(recipe.service, self._stack): "127.0.0.1"},
            labels={**recipe.labels, **{f"interlock.{name}": value for name, value in labels.items()}},
            rm=True,
            forcerm=True,
            decode=True,
            timeout=max(1, round(recipe.timeout)),
        ):
            yield line
            if time.monotonic() > give_up:
                raise TimeoutError


def mark(service: str, stack: str) -> str:
    """Name the host that every container of a build knows, and nobody asks for.

    The classic builder labels the image and none of the containers it makes on the way, and an engine that is killed
    leaves one behind. So they are found.
    """
    return f"build.{service}.{stack}.interlock"


def _rejected(what: str, said: str, log: deque[str]) -> Rejected:
    lines = [line.rstrip() for line in _COLOUR.sub("", "".join(log)).splitlines() if line.strip()]
    quoted = "\n".join(f"  {line}" for line in lines[-_TAIL:])
    return Rejected(f"{what}: {said.strip()}\n{quoted}", "mend the Dockerfile or the code")
