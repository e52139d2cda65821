"""JSON over HTTP, asked for again and again: one connection that is kept, and failures in our words."""

from collections.abc import Mapping
from typing import Any

import httpx

from domain.errors import Invalid, Unavailable
from domain.ports import Secrets

_PATIENCE = 3.0  # seconds for an answer; whoever asks every second cannot wait for long


class JsonEndpoint:
    """One URL. `token` is a secret reference, sent as a bearer's, and resolved for every question."""

    def __init__(self, url: str, secrets: Secrets, token: str | None = None) -> None:
        self._url = url
        self._secrets = secrets
        self._token = token
        self._http = httpx.Client(trust_env=False, timeout=_PATIENCE)

    def ask(self, parameters: Mapping[str, str] | None = None) -> Any:
        """Send one GET; return the parsed answer, whatever its status says.

        Raises Invalid when the answer is not JSON or refuses us, Unavailable when there is none or the server failed.
        """
        headers = {"authorization": f"Bearer {self._secrets.resolve(self._token)}"} if self._token else {}
        try:
            answer = self._http.get(self._url, params=parameters, headers=headers)
        except httpx.InvalidURL as error:
            raise Invalid(f"{self._url}: {error}", "check the URL") from error
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._url}: {error or type(error).__name__}", "does it listen?") from error
        if answer.status_code >= 500 or answer.status_code == 429:
            raise Unavailable(f"{self._url}: HTTP {answer.status_code}", "its own log says why")
        if answer.status_code in (401, 403, 404) or answer.is_redirect:
            raise Invalid(f"{self._url}: HTTP {answer.status_code}", "check the URL and the token")
        try:
            return answer.json()
        except ValueError:
            raise Invalid(f"{self._url}: HTTP {answer.status_code}, and not JSON", "check the URL") from None

    def close(self) -> None:
        """Hang up."""
        self._http.close()
