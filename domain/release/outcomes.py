"""What each verb leaves in the journal, by name: the types behind `done` facts."""

from domain.release.artifact import Artifact, Deployment, Image, Replica
from domain.release.route import Route
from domain.schema.backup import StoredBackup
from domain.schema.migration import Applied
from domain.value import Value


class Built(Value):
    """The image of a plan, and the artifact when this version was published before."""

    image: Image
    published: Artifact | None = None


class Checked(Value):
    """A check that passed, with its log in the store."""

    check: str
    evidence: str


class Reported(Value):
    """The judge's report of a release up to its last verdict here, in the store."""

    evidence: str
    sha256: str


class BackedUp(Value):
    """A backup that was restored and compared; None where there is no database."""

    stored: StoredBackup | None


class Migrated(Value):
    """The schema before and after; fingerprints are None where there is no database."""

    before: str | None = None
    after: str | None = None
    applied: tuple[Applied, ...] = ()


class Deployed(Value):
    """Replicas that are ready."""

    deployment: Deployment
    replicas: tuple[Replica, ...]


class Routed(Value):
    """What the router was told, and confirmed."""

    route: Route


class Retired(Value):
    """A slot that was drained and emptied."""

    route: Route | None = None
    slot: str


class Dismissed(Value):
    """A replica that was stopped and removed, by name."""

    replica: str


class Verified(Value):
    """What was seen after an undo: who serves, on which schema."""

    serving: str
    fingerprint: str | None


OUTCOMES: dict[str, type[Value]] = {
    "migrate": Migrated,
    "deploy": Deployed,
    "attach": Routed,
    "shift": Routed,
    "retire": Retired,
}
"""Those that change what stands in an environment."""
