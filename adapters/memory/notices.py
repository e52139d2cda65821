"""Notices that stay in memory."""

from collections.abc import Iterable
from typing import NamedTuple

from domain.errors import Invalid


class Delivered(NamedTuple):
    """One notice as it arrived."""

    group: str
    title: str
    body: str


class MemoryNotices:
    """The Notices port in memory: `delivered` maps (group, key) to what arrived; `groups` None: every group exists."""

    def __init__(self, groups: Iterable[str] | None = None) -> None:
        self.delivered: dict[tuple[str, str], Delivered] = {}
        self._groups = None if groups is None else frozenset(groups)

    def deliver(self, group: str, title: str, body: str, key: str) -> None:
        """Keep the notice; the same key for the same group once. A group without a target is Invalid."""
        if self._groups is not None and group not in self._groups:
            raise Invalid(f"notices: group {group} has no target", "give it one in the configuration")
        self.delivered.setdefault((group, key), Delivered(group, title, body))
