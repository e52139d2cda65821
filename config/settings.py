"""What belongs to this machine: where the products are that a release works with.

Everything about services, environments and people lives in the config folder, and is the same on every machine.
Each part with a `kind` is a choice of products; a new product is one more arm there.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from domain.release.recovery import Limits
from domain.release.retention import Keep
from domain.value import Name, Seconds, Value

HOUSE = Path(__file__).resolve().parent.parent
"""The folder of this repository."""


def _from_here(path: Path, info: ValidationInfo) -> Path:
    """Read a relative path as seen from the settings file, whose folder is the validation context."""
    return Path(os.path.abspath(_folder(info) / path.expanduser()))


def _database(url: str, info: ValidationInfo) -> str:
    """Hold SQLite's file to the same rule: a relative one lies beside the settings file, wherever a flow runs."""
    scheme, mark, file = url.partition("sqlite:///")
    if not mark or scheme:
        return url
    if file.startswith(":memory:"):
        raise ValueError("a ledger in memory forgets; name a file")
    return f"sqlite:///{os.path.abspath(_folder(info) / file)}"


def _folder(info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("folder", "."))


Location = Annotated[Path, AfterValidator(_from_here)]
Reference = Annotated[
    str, Field(pattern=r"^secret://[a-z0-9-]+/\S+$", description="a secret://… reference, never a value")
]
Web = Annotated[str, Field(pattern=r"^https?://\S+$", description="a URL that starts with http:// or https://")]
Target = Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://\S+$", description="an Apprise URL or a reference to one")]
DatabaseURL = Annotated[
    str,
    Field(
        pattern=r"^(sqlite:///|postgresql\+psycopg://|secret://)\S+$",
        description="sqlite:///FILE, postgresql+psycopg://… or a secret://… reference",
    ),
    AfterValidator(_database),
]
Group = Literal["dev", "ops", "product", "support"]


class Ledger(Value):
    """Where the journal and the leases are kept."""

    url: DatabaseURL


class DockerEngine(Value):
    """Builds images and runs replicas."""

    kind: Literal["docker"]
    host: str | None = Field(
        default=None, pattern=r"^(unix|tcp|ssh)://\S+$", description="none: DOCKER_HOST, or the usual socket"
    )


class OCIRegistry(Value):
    """Where published images live."""

    kind: Literal["oci"]
    url: Web


class HAProxyRouter(Value):
    """Splits the traffic."""

    kind: Literal["haproxy"]
    folder: Location = Field(description="its configuration, maps and command socket")
    bind: str = Field(default="127.0.0.1", description="the address users connect to")


class Seal(Value):
    """Backups are sealed with age: whoever has a key for one of the recipients can open them, and nobody else."""

    recipients: tuple[str, ...] = Field(min_length=1, description="public keys (age1…); add one that is kept offline")
    identity: Reference


class FolderStore(Value):
    """Evidence and backups in a folder."""

    kind: Literal["folder"]
    folder: Location
    seal: Seal | None = Field(default=None, description="none: backups lie there as they are")
    keep: Keep = Keep()


class S3Store(Value):
    """Evidence and backups in an S3 bucket."""

    kind: Literal["s3"]
    bucket: str
    prefix: str = ""
    endpoint: Web | None = Field(default=None, description="none: AWS itself")
    region: str = "us-east-1"
    access_key: Reference
    secret_key: Reference
    seal: Seal | None = Field(default=None, description="none: backups lie there as they are")
    keep: Keep = Keep()


class AWS(Value):
    """AWS Secrets Manager."""

    region: str
    endpoint: Web | None = Field(default=None, description="none: AWS itself")


class Secrets(Value):
    """Where secret://… references are looked up."""

    folder: Location
    aws: AWS | None = None


class FolderNotices(Value):
    """Messages as files in a folder, one per message."""

    kind: Literal["folder"]
    folder: Location


class AppriseNotices(Value):
    """Messages through Apprise: chat, mail, web hooks."""

    kind: Literal["apprise"]
    targets: dict[Group, Annotated[tuple[Target, ...], Field(min_length=1)]] = Field(min_length=1)


class Lease(Value):
    """How long a dead run holds its release and its environment."""

    ttl: Seconds = Field(default=15.0, gt=0)


class Judge(Value):
    """How often the judge counts."""

    period: Seconds = Field(default=1.0, gt=0)


class Prefect(Value):
    """Which Prefect to talk to."""

    api: Web | None = Field(default=None, description="none: as Prefect's own profile says")
    ui: Web | None = Field(default=None, description="where its pages are, for links in messages")


class Settings(Value):
    """One machine's settings file."""

    stack: Name = Field(description="label on everything started from here")
    config: Location = Field(
        default_factory=lambda: HOUSE / "config", description="folder with services/, environments/ and people.yaml"
    )
    people: Location | None = Field(default=None, description="more people, beside those in the config folder")
    sources: Location = Field(description="folder with the repositories that services name")
    ledger: Ledger
    engine: DockerEngine
    registry: OCIRegistry
    router: HAProxyRouter
    store: Annotated[FolderStore | S3Store, Field(discriminator="kind")]
    secrets: Secrets
    notices: Annotated[FolderNotices | AppriseNotices, Field(discriminator="kind")]
    lease: Lease = Lease()
    judge: Judge = Judge()
    recovery: Limits = Limits()
    prefect: Prefect = Prefect()
