"""An artifact's image on the engine, by digest."""

import re
from typing import Any

from docker.errors import ImageNotFound, NotFound

from adapters.docker_container import Row
from domain.errors import Conflict, Unavailable
from domain.release.artifact import Artifact

_ABSENT = re.compile(r"not found|manifest unknown|name unknown", re.I)


def fetch(api: Any, artifact: Artifact) -> Row:
    """Have the image on the engine. Raises Conflict when it is another one, or the registry lost it."""
    try:
        found: Row = api.inspect_image(artifact.reference)
    except ImageNotFound:
        _pull(api, artifact.reference)
        found = api.inspect_image(artifact.reference)
    if found["Id"] != artifact.image:
        raise Conflict(f"{artifact.reference} is {found['Id']}, recorded as {artifact.image}", "do not deploy it")
    return found


def _pull(api: Any, reference: str) -> None:
    try:
        for line in api.pull(reference, stream=True, decode=True):
            if said := line.get("error"):
                missing = _ABSENT.search(said)
                raise (Conflict if missing else Unavailable)(f"pulling {reference}: {said}", "check the registry")
    except NotFound as error:
        raise Conflict(f"{reference} is not in the registry", "publish the version again") from error
