"""The folder of a service's migrations, as it lies on the disk."""

from collections.abc import Mapping
from pathlib import Path

from domain.errors import Invalid


def files(directory: Path) -> Mapping[str, str]:
    """Read every file of a folder: name → text. Raises Invalid when it is none, or not in UTF-8."""
    try:
        paths = [path for path in sorted(directory.iterdir()) if path.is_file() and not path.name.startswith(".")]
        return {path.name: path.read_text(encoding="utf-8") for path in paths}
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{directory}: {error}", "name the folder that holds the migrations, in UTF-8") from error
