"""What is built, and what runs from it."""

from pydantic import Field

from domain.canonical import sha256
from domain.environment.profile import Resources
from domain.release.route import Slot
from domain.release.service import Runtime
from domain.value import Digest, Value


class Commit(Value):
    """A commit as git names it."""

    sha: str = Field(pattern=r"^[0-9a-f]{40}$")
    author: str = Field(description="e-mail of the author")
    subject: str
    at: str = Field(description="commit time, ISO 8601 with zone")


class Recipe(Value):
    """How to turn a commit into an image."""

    service: str
    version: str
    commit: str
    dockerfile: str
    args: dict[str, str] = {}
    labels: dict[str, str] = {}
    timeout: float = 600.0


class Image(Value):
    """An image on the build host; `id` is its config digest, which a running container reports."""

    id: Digest


class Artifact(Value):
    """A published image: the only thing that is ever deployed. (Checks of the build stage run one that is not yet.)"""

    repository: str = Field(description="registry host and path, no tag")
    version: str
    commit: str = Field(default="", description="what the image's own label says it was built from")
    digest: Digest = Field(description="manifest digest: what is deployed")
    image: Digest = Field(description="config digest: what a running container reports")

    @property
    def reference(self) -> str:
        """Name it by digest, never by tag; before it is published it has no manifest yet, and its id must do."""
        return self.image if self.digest == self.image else f"{self.repository}@{self.digest}"


class Deployment(Value):
    """A wanted set of replicas; secrets are references until the container starts."""

    service: str
    environment: str
    release: str
    version: str
    slot: Slot
    artifact: Artifact
    replicas: int
    resources: Resources
    runtime: Runtime
    config: dict[str, str]
    token: int = Field(default=0, exclude=True, description="fencing token; not part of what the deployment is")

    @property
    def config_digest(self) -> str:
        """Name by content what a replica is started with besides its image: 64 hex digits, and its config label."""
        return sha256([self.config, self.resources, self.runtime.port])


class Replica(Value):
    """A container that runs or ran."""

    id: str
    name: str
    address: str
    port: int
    image: str = Field(description="config digest as the engine reports it")
    service: str
    environment: str
    release: str
    version: str
    slot: Slot
    token: int
    config_digest: str = Field(
        default="", description="Deployment.config_digest it was started with; empty: not recorded"
    )
    running: bool = True


class CommandResult(Value):
    """What a check command left behind."""

    exit_code: int
    output: str
