"""Secrets, in memory."""

from collections.abc import Mapping

from adapters.secrets import remember
from domain.errors import Invalid


class MemorySecrets:
    """Resolves the references it was given: reference → value."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def resolve(self, reference: str) -> str:
        """Look up a reference. Raises Invalid naming it."""
        value = self._values.get(reference, "")
        if not value:
            raise Invalid(f"{reference} has no value", "give it to MemorySecrets")
        remember(value)
        return value
