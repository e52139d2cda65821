"""A registry in memory."""

from collections.abc import Mapping

from domain.release.artifact import Artifact


class MemoryRegistry:
    """Resolves what a MemoryBuilder pushed into the same `images`, by `repository:tag` and `repository@digest`."""

    def __init__(self, images: Mapping[str, Artifact], host: str = "registry.memory") -> None:
        self._images = images
        self._host = host

    def repository(self, service: str) -> str:
        """Name the repository of a service."""
        return f"{self._host}/{service}"

    def resolve(self, repository: str, reference: str) -> Artifact | None:
        """Look up a tag or digest."""
        return self._images.get(f"{repository}{'@' if ':' in reference else ':'}{reference}")
