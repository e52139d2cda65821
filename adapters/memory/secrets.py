"""Secrets, in memory."""

from collections.abc import Mapping

from adapters.secrets import elsewhere, remember
from domain.errors import Invalid


class MemorySecrets:
    """Resolves the references it was given: reference → value."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def resolve(self, reference: str) -> str:
        """Look up a reference. Raises Invalid naming it."""
        plain, _, database = reference.partition("?database=")
        if not (value := self._values.get(plain, "")):
            raise Invalid(f"{reference} has no value", "give it to MemorySecrets")
        value = elsewhere(plain, value, database)
        remember(value)
        return value
