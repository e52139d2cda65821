"""Refuse to build anything but an editable install.

A wheel of this project would put `config/`, `tasks/` and `flows/` straight into site-packages, where they shadow
everybody's. `uv sync` builds the editable variant and never gets here with another.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EditableOnly(BuildHookInterface):  # type: ignore[misc]  # hatchling is not installed where mypy runs
    """Let `editable` through and stop every other build target."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's signature
        """Raise RuntimeError unless hatchling was asked for an editable install."""
        if version != "editable":
            raise RuntimeError("Interlock is run from its folder, not packaged: use `uv sync` (editable install).")
