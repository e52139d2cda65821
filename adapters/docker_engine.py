"""The connection to a Docker Engine, and its failures in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import requests
import urllib3
from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env

from domain.errors import Conflict, Invalid, Unavailable

PATIENCE = 60  # seconds for one answer; a stream may take this long between two lines


@contextmanager
def speaking(doing: str) -> Iterator[None]:
    """Translate what docker-py raises: Invalid (400, 404), Conflict (409), Unavailable (anything else)."""
    try:
        yield
    except NotFound as error:
        raise Invalid(
            f"{doing}: {error.explanation}", "look at what the engine has: docker ps -a, docker images"
        ) from error
    except APIError as error:
        said = f"{doing}: {error.explanation or error}"
        if error.status_code == 409:
            raise Conflict(said, "somebody else changes the same container or image; look, then run again") from error
        if error.is_client_error():
            raise Invalid(said, "the engine refuses the request as it is") from error
        raise Unavailable(said, "the engine failed; its own log says why") from error
    except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise Unavailable(f"{doing}: the Docker Engine did not answer: {error}", "is dockerd running?") from error


class Engine:
    """One Docker Engine; connects at the first question. `host` None means DOCKER_HOST, or the local socket."""

    def __init__(self, host: str | None) -> None:
        self.host = host

    @cached_property
    def api(self) -> Any:
        """The connection, a docker.APIClient (its published types lack half its methods' results).

        Raises Unavailable when nothing answers.
        """
        where = {"base_url": self.host} if self.host else kwargs_from_env()
        with speaking(f"connecting to {where.get('base_url', 'the local Docker Engine')}"):
            api = APIClient(**where, version="auto", timeout=PATIENCE)
        api.trust_env = False  # a proxy or CA bundle meant for the internet must not come between us and the engine
        return api
