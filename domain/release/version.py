"""What a commit is called: its tag, or a pre-release of the next patch."""

from collections.abc import Iterable

import semver

from domain.errors import Invalid


def parse(text: str) -> semver.Version:
    """Read a semantic version. Raises Invalid."""
    try:
        return semver.Version.parse(text)
    except ValueError as error:
        raise Invalid(f"{text!r} is not a semantic version", "use MAJOR.MINOR.PATCH, such as 1.4.0") from error


def name(tags: Iterable[str], earlier: Iterable[str], prefix: str, sha: str) -> tuple[str, str | None]:
    """Name a commit: (version, tag).

    `tags` point at the commit itself, `earlier` are all tags before it. A tagged commit is its highest version; an
    untagged one is `NEXT_PATCH-dev.gSHA`, which sorts after everything released before it.
    """
    own = sorted(_versions(tags, prefix))
    if own:
        return str(own[-1]), f"{prefix}{own[-1]}"
    last = max(_versions(earlier, prefix), default=semver.Version(0, 0, 0))
    return str(last.finalize_version().bump_patch().replace(prerelease=f"dev.g{sha[:7]}")), None


def _versions(tags: Iterable[str], prefix: str) -> list[semver.Version]:
    stripped = (tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix))
    return [semver.Version.parse(text) for text in stripped if semver.Version.is_valid(text)]
