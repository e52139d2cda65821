"""Prometheus' HTTP API: the raw samples of plain series."""

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from adapters.http_json import JsonEndpoint
from domain.errors import Invalid, Unavailable
from domain.ports import Secrets


class Series(NamedTuple):
    """One series: its labels, name included, and its samples (seconds since the epoch, value), oldest first."""

    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]

    @property
    def key(self) -> frozenset[tuple[str, str]]:
        """Tell it from every other."""
        return frozenset(self.labels.items())


class PrometheusApi:
    """One Prometheus server, or anything that answers /api/v1/query as it does."""

    def __init__(self, url: str, secrets: Secrets, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._endpoint = JsonEndpoint(f"{self._url}/api/v1/query", secrets, token)

    def samples(self, what: str, selector: str, seconds: float) -> list[Series]:
        """Read what the server has of the last seconds, by its own clock; `what` is for messages.

        Prometheus takes a range of plain series only, which is as it should be: in a sum the restart of one replica
        cannot be told from a fall of the whole. Raises Invalid when it refuses the selector, Unavailable.
        """
        answer = self._endpoint.ask({"query": f"{selector}[{math.ceil(seconds)}s]"})
        said = answer if isinstance(answer, dict) else {}
        with suppress(LookupError, TypeError, ValueError):  # of another form: it is told below
            if said["status"] == "success" and said["data"]["resultType"] == "matrix":
                return [Series(row["metric"], tuple(_numbers(row.get("values", ())))) for row in said["data"]["result"]]
        if said.get("errorType") in ("timeout", "canceled", "unavailable", "internal", "too_many_requests"):
            raise Unavailable(f"{self._url}: {what}: {said.get('error')}", "its own log says why")
        raise Invalid(
            f"{self._url}: {what}: {said.get('error', 'this is not Prometheus')}",
            f"{selector} should select plain series, without function or sum; Interlock adds up itself",
        )

    def close(self) -> None:
        """Hang up."""
        self._endpoint.close()


def _numbers(values: Any) -> Iterator[tuple[float, float]]:
    """Read samples; what is no number (a NaN counter) is no sample."""
    for at, text in values:
        if math.isfinite(value := float(text)):
            yield float(at), value
