"""The proof of a way back: a rehearsal judged, bound to exactly what was rehearsed."""

from collections.abc import Mapping

from pydantic import Field

from domain.canonical import sha256
from domain.schema.rehearsal import Cost, Rehearsal, WayBack
from domain.schema.reversal import RULES, Problem
from domain.value import Seconds, Value

_DAY = 86_400.0
_SHOWN = 4000  # characters of what a tool announces that people are shown; all of it is in the store
FRESH = 7 * _DAY
"""Seconds for which a proof counts: data changes, and a way back that depends on it may end."""

WALKED = FRESH + _DAY
"""Seconds after which a drill is due: it runs every week, and may be late."""


class Subject(Value):
    """What a proof is about; another byte anywhere, another subject."""

    fingerprint: str = Field(description="the schema before; the part that a dump carries")
    server: str = Field(description="major version of PostgreSQL")
    steps: tuple[str, ...] = Field(description="label and hash of both scripts of every step")
    old: str | None = Field(description="hash of the old version's statements; None: nothing serves")
    new: str | None = Field(description="hash of the new version's statements")
    invariants: str | None = Field(default=None, description="hash of all of them; None: there are none")


class Proof(Value):
    """A way back that was walked on a copy, and what came of it."""

    subject: Subject
    tier: int = Field(description="0: no step; 1: the old version runs on the new schema; 2: the schema goes back, too")
    problems: tuple[Problem, ...]
    rehearsal: Rehearsal
    at: float = Field(description="seconds since the epoch")

    @property
    def holds(self) -> bool:
        """Tell whether nothing stands against it."""
        return not self.problems

    @property
    def hash(self) -> str:
        """Hash all of it; 64 hex digits."""
        return sha256(self.model_dump(mode="json"))


class Proven(Value):
    """What a release keeps of a proof that holds; all of it is in the store."""

    subject: Subject
    tier: int = Field(description="as in the proof")
    after: str = Field(description="the schema that the steps lead to; the part that a dump carries")
    costs: Mapping[str, Cost] = Field(description="of each step on its way up, by its label")
    seconds: Seconds = Field(description="how long the rehearsal took")
    at: float = Field(description="seconds since the epoch")
    unvalidated: tuple[str, ...] = Field(default=(), description="constraints that old rows may break, after the steps")
    announced: str = Field(default="", description="what the service's own tool said that it would do, shortened")
    evidence: str = Field(description="key of the whole proof in the store")


def subject_of(way: WayBack, fingerprint: str, server: str) -> Subject:
    """Say what a proof of this way back is about."""
    return Subject(
        fingerprint=fingerprint,
        server=server.partition(".")[0],
        steps=tuple(f"{step.label} {sha256([step.up, step.down])[:16]}" for step in way.steps),
        old=None if way.old is None else sha256(way.old),
        new=None if way.new is None else sha256(way.new),
        invariants=sha256(dict(way.invariants)) if way.invariants else None,
    )


def prove(way: WayBack, rehearsal: Rehearsal, subject: Subject, at: float) -> Proof:
    """Judge a rehearsal: what is not shown to work does not work."""
    problems = tuple(problem for rule in RULES for problem in rule(way, rehearsal))
    tier = 0 if not way.steps else 2 if way.whole else 1
    return Proof(subject=subject, tier=tier, problems=problems, rehearsal=rehearsal, at=at)


def kept(proof: Proof, evidence: str) -> Proven:
    """Shorten a proof that holds to what a release needs of it; `evidence` is its key in the store."""
    seen, rehearsal = proof.rehearsal.seen["up"], proof.rehearsal
    about = {"subject": proof.subject, "tier": proof.tier, "at": proof.at, "evidence": evidence}
    return Proven.model_validate(
        {
            **about,
            "after": seen.fingerprint,
            "costs": rehearsal.costs,
            "seconds": rehearsal.seconds,
            "unvalidated": seen.unvalidated,
            "announced": rehearsal.announced[:_SHOWN],
        }
    )


def stale(proof: Proof | Proven, subject: Subject, now: float, fresh: float = FRESH) -> str | None:
    """Say why a proof does not count for a subject, None when it does; `fresh` in seconds."""
    for name in Subject.model_fields:
        if getattr(proof.subject, name) != getattr(subject, name):
            return f"it was made for another {_WORDS[name]}"
    if now - proof.at > fresh:
        return f"it is {(now - proof.at) / _DAY:.1f} days old, {fresh / _DAY:g} are allowed"
    return None


def overgrown(walked: float, now: float, allowed: float) -> str | None:
    """Say why the way back of what serves may not lead back any more, None when it was walked lately; in seconds."""
    if now - walked <= allowed:
        return None
    return f"was last walked {(now - walked) / _DAY:.1f} days ago, {allowed / _DAY:g} are allowed"


_WORDS = {
    "fingerprint": "schema",
    "server": "major version of the server",
    "steps": "migration",
    "old": "old version",
    "new": "new version",
    "invariants": "invariant",
}
