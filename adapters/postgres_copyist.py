"""A declared copy, ready to be taken: both ends and the key are looked up when it is, and not before."""

from adapters import postgres_copy as copies
from adapters.postgres_end import End
from domain.data.copy import Copy
from domain.data.policy import Policy
from domain.data.stamp import Stamp
from domain.ports import Secrets


class PostgresCopyist:
    """Takes one copy by its policy."""

    def __init__(self, wanted: Copy, policy: Policy, secrets: Secrets) -> None:
        self._wanted, self._policy, self._secrets = wanted, policy, secrets

    def refresh(self) -> Stamp:
        """Put a fresh copy in the place of the last one; see adapters/postgres_copy.py."""
        source, target = (End(self._secrets.resolve(it)) for it in (self._wanted.source, self._wanted.into))
        return copies.refresh(source, target, self._policy, self._secrets.resolve(self._policy.key))

    def stamp(self) -> Stamp:
        """Read what the copy says about itself; raises Invalid when it says nothing."""
        return copies.status(End(self._secrets.resolve(self._wanted.into)))
