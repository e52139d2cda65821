"""What a migration does to those who use the database, and what must be answered before it may."""

from collections.abc import Sequence

from domain.schema.change import Change
from domain.schema.migration import Migration
from domain.schema.rules import RULES, Severity
from domain.value import Value


class Finding(Value):
    """One rule that a migration breaks; `reason` is the answer of a person who accepts it."""

    rule: str
    severity: Severity
    file: str
    line: int
    what: str
    reason: str | None = None

    @property
    def refused(self) -> bool:
        """Tell whether it stops a release."""
        return self.severity == "error" and self.reason is None

    @property
    def says(self) -> str:
        """Say where it is, what was found, and what it means for users."""
        return f"{self.file}:{self.line}: {self.rule}: {self.what}: {RULES[self.rule].happens}"


class Impact(Value):
    """One migration: its changes in order, and the findings of its two scripts."""

    migration: str
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]


def refusals(impacts: Sequence[Impact]) -> tuple[Finding, ...]:
    """List the errors that nobody has answered."""
    return tuple(found for one in impacts for found in one.findings if found.refused)


def torn(steps: Sequence[Migration]) -> str | None:
    """Name an expand and a contract step in one release, None when there are no two such steps.

    The old version must run on what the release leaves, and the contract step takes away what it runs on. Headers say
    it all: a statement that does not fit its header is a finding.
    """
    by_phase = {step.phase: step.label for step in reversed(steps)}
    if {"expand", "contract"} <= by_phase.keys():
        return f"{by_phase['expand']} expands and {by_phase['contract']} contracts in one release"
    return None
