"""Any registry that speaks the OCI distribution protocol, read over HTTP."""

import hashlib
import ipaddress
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from domain.errors import Conflict, Invalid, Unavailable
from domain.release.artifact import Artifact

_TIMEOUT = 15.0  # seconds without a byte
_OCI = "application/vnd.oci.image"
_DOCKER = "application/vnd.docker.distribution.manifest"
_ACCEPT = ", ".join(
    (f"{_OCI}.manifest.v1+json", f"{_OCI}.index.v1+json", f"{_DOCKER}.v2+json", f"{_DOCKER}.list.v2+json")
)


_M = TypeVar("_M", bound=BaseModel)


class _Config(BaseModel):
    digest: str


class _Manifest(BaseModel):
    config: _Config | None = None


class _Settings(BaseModel):
    Labels: dict[str, str] | None = None


class _Image(BaseModel):
    config: _Settings | None = None


class OCIRegistry:
    """The Registry port; `url` such as http://127.0.0.1:5000 (a user and password in it are sent as basic auth)."""

    def __init__(self, url: str) -> None:
        self._host = httpx.URL(url).netloc.decode()
        self._http = httpx.Client(
            base_url=url, timeout=_TIMEOUT, follow_redirects=True, trust_env=not _is_loopback(httpx.URL(url).host)
        )

    def repository(self, service: str) -> str:
        """Name the repository of a service, as the Docker Engine writes it: host, port, path, no scheme."""
        return f"{self._host}/{service}"

    def resolve(self, repository: str, reference: str) -> Artifact | None:
        """Look up a tag or digest; version and commit come from the image's own labels, '' when it has none.

        Every byte is hashed again. Raises Conflict when a hash is not what the registry or the reference claims,
        Invalid when the answer is not a single image.
        """
        name = self._name(repository)
        where = f"{repository}:{reference}" if ":" not in reference else f"{repository}@{reference}"
        answer = self._get(f"/v2/{name}/manifests/{reference}", where, {"Accept": _ACCEPT})
        if answer is None:
            return None
        claimed = reference if ":" in reference else answer.headers.get("Docker-Content-Digest", "")
        digest = _hashed(answer, where, claimed, answer.headers.get("Docker-Content-Digest", ""))
        manifest = _read(_Manifest, answer, where)
        if manifest.config is None:
            raise Invalid(f"{where} is an index of several images", "publish one image for one platform")
        image = manifest.config.digest
        blob = self._get(f"/v2/{name}/blobs/{image}", where, {})
        if blob is None:
            raise Conflict(f"{where}: the registry lost the image's config {image}", "publish the version again")
        _hashed(blob, where, image)
        settings = _read(_Image, blob, where).config
        labels = (settings.Labels if settings else None) or {}
        version, commit = labels.get("interlock.version", ""), labels.get("interlock.commit", "")
        return Artifact(repository=repository, version=version, commit=commit, digest=digest, image=image)

    def _name(self, repository: str) -> str:
        host, _, name = repository.partition("/")
        if host != self._host or not name:
            raise Invalid(f"{repository} is not in the registry at {self._host}", "set registry.url, or plan again")
        return name

    def _get(self, path: str, where: str, headers: dict[str, str]) -> httpx.Response | None:
        try:
            answer = self._http.get(path, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(f"{where}: the registry did not answer: {error}", "does it run?") from error
        match answer.status_code:
            case 200:
                return answer
            case 404:
                return None
            case 401 | 403:
                raise Invalid(f"{where}: the registry refuses to show it ({answer.status_code})", "check registry.url")
            case status if status >= 500 or status == 429:
                raise Unavailable(f"{where}: the registry answered {status}: {answer.text[:200]}", "try again")
            case status:
                raise Invalid(f"{where}: the registry answered {status}: {answer.text[:200]}", "check the reference")


def _hashed(answer: httpx.Response, where: str, *claims: str) -> str:
    digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    for claim in claims:
        if claim and claim != digest:
            raise Conflict(f"{where}: the registry's bytes hash to {digest}, not {claim}", "do not deploy it")
    return digest


def _read(model: type[_M], answer: httpx.Response, where: str) -> _M:
    try:
        return model.model_validate_json(answer.content)
    except ValidationError as error:
        raise Invalid(f"{where}: the answer is not an image manifest or config", "is this a registry?") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
