"""Put the image where every environment takes it from."""

from domain.errors import Conflict, Refused
from domain.ports import Builder, Registry
from domain.release.artifact import Artifact, Image
from domain.release.plan import Plan
from tasks.step import Warrant, step


def already_published(
    warrant: Warrant, plan: Plan, image: Image, builder: Builder, registry: Registry
) -> Artifact | None:
    """Find the version in the registry when it is this very image."""
    found = registry.resolve(plan.repository, plan.version)
    return found if found and found.image == image.id else None


@step(Artifact, observe=already_published)
def publish(warrant: Warrant, plan: Plan, image: Image, builder: Builder, registry: Registry) -> Artifact:
    """Push the image under its version and read both back, digest and version; a version is written once.

    Raises Refused when the version is taken by other bytes, Conflict when the registry returns something else, or when
    somebody else pushed other bytes under the version meanwhile: no registry can be asked to refuse that.
    """
    if there := registry.resolve(plan.repository, plan.version):
        if there.image != image.id:
            raise Refused(
                f"{plan.repository}:{plan.version} is already published with other bytes ({there.digest[:19]})",
                "a published version never changes: release the next version",
            )
        return there
    digest = builder.push(image, plan.repository, plan.version)
    read_back = registry.resolve(plan.repository, digest)
    if read_back is None or read_back.image != image.id:
        raise Conflict(f"{plan.repository}@{digest} is not what was pushed ({image.id[:19]})", "check the registry")
    named = registry.resolve(plan.repository, plan.version)
    if named is None or named.digest != digest:
        raise Conflict(
            f"{plan.repository}:{plan.version} was pushed by somebody else as well, with other bytes",
            f"ours are {digest[:19]}; find out who publishes there, then release the next version",
        )
    return read_back.model_copy(update={"version": plan.version})
