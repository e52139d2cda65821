"""Notices as text files in a folder: the embedded default, to be read with the eyes."""

import hashlib
import os
import re
import tempfile
from pathlib import Path

from domain.errors import Unavailable


class NoticeFolder:
    """The Notices port on a folder: one file per notice, whatever the group."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def deliver(self, group: str, title: str, body: str, key: str) -> None:
        """Write the notice whole or not at all; a file of the same group and key stays as it is.

        Raises Unavailable when the folder cannot be written.
        """
        target = self._folder / _file_name(group, key)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                self._write(target, f"To: {group}\nSubject: {title}\nKey: {key}\n\n{body}\n")
        except OSError as error:
            raise Unavailable(f"{target}: {error.strerror}", "make room, or make the folder writable") from error

    def _write(self, target: Path, text: str) -> None:
        descriptor, draft = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".draft")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(draft, target)


def _file_name(group: str, key: str) -> str:
    """Make a readable name out of any group and key; the hash keeps apart what reads the same."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{group}.{key}").strip("-.")[:80]
    exact = hashlib.sha256("\0".join((group, key)).encode()).hexdigest()
    return f"{readable}.{exact[:8]}.txt"
