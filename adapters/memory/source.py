"""A repository in memory: one line of commits."""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.errors import Invalid
from domain.release.artifact import Commit


@dataclass(frozen=True)
class _Recorded:
    commit: Commit
    files: Mapping[str, str]


class MemorySource:
    """Commits on `main`, each with every file it has; shas depend on the content only."""

    def __init__(self) -> None:
        self._line: list[_Recorded] = []
        self._tags: dict[str, str] = {}

    def commit(
        self, subject: str, files: Mapping[str, str | None], *, author: str = "dev@example.com", tag: str | None = None
    ) -> Commit:
        """Record a change on top of the last commit: path → new text, None to delete it."""
        before = self._line[-1] if self._line else None
        changed = {**(before.files if before else {}), **files}
        kept = {path: text for path, text in sorted(changed.items()) if text is not None}
        parent = before.commit.sha if before else ""
        sha = hashlib.sha1(repr((parent, author, subject, kept)).encode(), usedforsecurity=False).hexdigest()
        at = datetime.fromtimestamp(1_767_225_600 + 60 * len(self._line), UTC).isoformat()  # 2026, a minute apart
        made = Commit(sha=sha, author=author, subject=subject, at=at)
        self._line.append(_Recorded(made, kept))
        if tag:
            self._tags[tag] = sha
        return made

    def resolve(self, ref: str) -> Commit:
        """Find the commit behind `main`, a tag or a sha."""
        if ref in ("main", "HEAD") and self._line:
            return self._line[-1].commit
        return self._line[self._place(self._tags.get(ref, ref))].commit

    def tags(self, commit: str) -> tuple[str, ...]:
        """List the tags that point at a commit."""
        return tuple(sorted(tag for tag, sha in self._tags.items() if sha == commit))

    def history(self, since: str | None, until: str) -> tuple[Commit, ...]:
        """List the commits after `since` up to `until`, newest first."""
        first = self._place(since) + 1 if since else 0
        return tuple(row.commit for row in reversed(self._line[first : self._place(until) + 1]))

    def changed(self, since: str | None, until: str) -> tuple[str, ...]:
        """List the paths that differ."""
        before = self._line[self._place(since)].files if since else {}
        after = self._line[self._place(until)].files
        return tuple(sorted(path for path in {*before, *after} if before.get(path) != after.get(path)))

    def files(self, commit: str, folder: str) -> Mapping[str, str]:
        """Read the files directly inside a folder."""
        inside = folder.strip("/")
        rows = ((path.rpartition("/"), text) for path, text in self._line[self._place(commit)].files.items())
        return {name: text for (parent, _, name), text in rows if parent == ("" if inside == "." else inside)}

    def archive(self, commit: str) -> bytes:
        """Export a commit as a tar."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for path, text in self._line[self._place(commit)].files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
        return packed.getvalue()

    def _place(self, sha: str) -> int:
        for place, row in enumerate(self._line):
            if row.commit.sha == sha:
                return place
        raise Invalid(f"the repository in memory has no commit {sha!r}", "commit it first")
