"""A build engine in memory."""

import hashlib
import io
import tarfile
from collections.abc import Mapping, MutableMapping

from domain.canonical import sha256
from domain.environment.orphans import Belonging
from domain.errors import Invalid, Rejected
from domain.release.artifact import Artifact, Image, Recipe


class MemoryBuilder:
    """Builds by hashing; share `images` with a MemoryRegistry, so that what is pushed can be resolved there.

    Put a service's name into `broken`, and its builds are rejected.
    """

    def __init__(self, images: MutableMapping[str, Artifact], stack: str = "memory") -> None:
        self.broken: set[str] = set()
        self._images = images
        self._stack = stack
        self._built: dict[str, dict[str, str]] = {}

    def build(self, recipe: Recipe, context: bytes) -> Image:
        """Name the image by recipe and context; Rejected for a broken service or a missing Dockerfile."""
        what = f"building {recipe.service} {recipe.version}"
        with tarfile.open(fileobj=io.BytesIO(context), mode="r:") as tar:
            if recipe.dockerfile not in tar.getnames() or recipe.service in self.broken:
                raise Rejected(f"{what}: no {recipe.dockerfile} that works", "mend the Dockerfile or the code")
        known = {"service": recipe.service, "version": recipe.version, "commit": recipe.commit, "stack": self._stack}
        labels = {**recipe.labels, **{f"interlock.{name}": value for name, value in known.items()}}
        image = f"sha256:{sha256([hashlib.sha256(context).hexdigest(), recipe.dockerfile, recipe.args, labels])}"
        self._built.pop(image, None)  # the newest is last
        self._built[image] = labels
        return Image(id=image)

    def find(self, labels: Mapping[str, str]) -> Image | None:
        """Find the newest image that carries all these labels."""
        fits = [image for image, has in self._built.items() if labels.items() <= has.items()]
        return Image(id=fits[-1]) if fits else None

    def belongings(self) -> tuple[Belonging, ...]:
        """List the images."""
        return tuple(
            Belonging(
                kind="image",
                id=image,
                name=image[:19],
                service=labels["interlock.service"],
                release=labels.get("interlock.build", ""),
            )
            for image, labels in self._built.items()
        )

    def discard(self, belonging: Belonging, _token: int) -> bool:
        """Forget an image."""
        self._built.pop(belonging.id, None)
        return True

    def push(self, image: Image, repository: str, tag: str) -> str:
        """Publish under a tag; the digest depends on the image only."""
        if image.id not in self._built:
            raise Invalid(f"pushing {repository}:{tag}: no image {image.id}", "build it first")
        labels = self._built[image.id]
        artifact = Artifact(
            repository=repository,
            version=labels["interlock.version"],
            commit=labels["interlock.commit"],
            digest=f"sha256:{sha256(['manifest', image.id])}",
            image=image.id,
        )
        self._images[f"{repository}:{tag}"] = self._images[artifact.reference] = artifact
        return artifact.digest
