"""What can go wrong.

ReleaseError(message, hint)
├── Invalid        the request or the configuration is wrong; nothing was started        exit 2
├── Refused        policy says no, with its reasons                                      exit 3
├── Rejected       the candidate did not pass: a check, a migration, the judge           exit 1
├── Conflict       someone else holds the environment, or the world is not as recorded   exit 1
└── Unavailable    something outside did not answer; the only one worth another try      exit 1

`message` says what happened and where (file, path, id); `hint` says what to do next.
"""

from collections.abc import Sequence
from typing import ClassVar


class ReleaseError(Exception):
    """Any failure that Interlock explains to a person."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type["ReleaseError"], tuple[str, str]]:
        """Survive pickling between Prefect's processes with both parts."""
        return type(self), (self.message, self.hint)


class Invalid(ReleaseError):
    """The request or the configuration is wrong; all problems are named at once."""

    exit_code = 2

    @classmethod
    def all(cls, problems: Sequence[str], hint: str = "") -> "Invalid":
        """Join several problems into one error, one line each."""
        return cls("\n".join(problems), hint)


class Refused(ReleaseError):
    """A policy said no."""

    exit_code = 3


class Rejected(ReleaseError):
    """The candidate did not pass: a check, a migration or the judge said no."""


class Conflict(ReleaseError):
    """Someone else holds the environment, or the world is not what the ledger says."""


class Unavailable(ReleaseError):
    """Something outside did not answer; the only error that is retried."""
