"""What a release is in, and where it may go from there."""

from collections.abc import Iterable, Mapping, Sequence

from domain.errors import Refused
from domain.facts import Entered, Entry, Fact, Phase
from domain.value import Value

NEXT: Mapping[Phase, frozenset[Phase]] = {
    "planned": frozenset({"built", "aborted"}),
    "built": frozenset({"awaiting approval", "deploying", "aborted"}),
    "awaiting approval": frozenset({"approved", "aborted"}),
    "approved": frozenset({"deploying", "aborted"}),
    "deploying": frozenset({"baking", "rolling back"}),
    "baking": frozenset({"settled", "rolling back"}),
    "settled": frozenset({"awaiting approval", "deploying", "released", "rolling back", "aborted"}),
    "released": frozenset({"rolling back"}),
    "rolling back": frozenset({"rolled back", "stuck"}),
    "stuck": frozenset({"rolling back"}),
    "rolled back": frozenset({"rolling back"}),  # in another environment, where it had settled before
    "aborted": frozenset({"rolling back"}),
}
FIRST: frozenset[Phase] = frozenset({"planned", "aborted"})
OVER: frozenset[Phase] = frozenset({"released", "rolled back", "aborted"})
CHANGING: frozenset[Phase] = frozenset({"deploying", "baking", "rolling back", "stuck"})


def insist_legal(history: Sequence[Fact], fact: Fact) -> None:
    """Refuse a phase that cannot follow the release's last one; facts of other kinds always pass."""
    if not isinstance(fact, Entered):
        return
    past = [earlier.phase for earlier in history if isinstance(earlier, Entered)]
    allowed = NEXT[past[-1]] if past else FIRST
    if fact.phase not in allowed:
        now, ways = (past[-1] if past else "new"), ", ".join(sorted(allowed)) or "nothing"
        raise Refused(f"a release that is {now} cannot become {fact.phase}", f"from {now} it may go to: {ways}")


class ReleaseState(Value):
    """One release, folded from its facts."""

    release: str
    service: str
    version: str = ""
    commit: str = ""
    plan: str = ""
    digest: str = ""
    phase: Phase | None = None
    environment: str = ""
    reason: str = ""
    opened_at: str = ""
    changed_at: str = ""

    @property
    def over(self) -> bool:
        """Tell whether nothing more will happen by itself."""
        return self.phase in OVER


def fold(entries: Iterable[Entry]) -> dict[str, ReleaseState]:
    """Fold entries in order into the state of every release they speak of."""
    told: dict[str, dict[str, str]] = {}
    for entry in entries:
        if entry.release not in told:
            if entry.fact.kind not in ("opened", "planned", "entered"):
                continue  # a lease that a person took over is no release
            told[entry.release] = {"release": entry.release, "service": entry.service, "opened_at": entry.at}
        told[entry.release] |= _change(entry)
    return {release: ReleaseState.model_validate(known) for release, known in told.items()}


def _change(entry: Entry) -> dict[str, str]:
    match entry.fact.kind:
        case "planned":
            plan = entry.fact.plan
            return {"version": plan.version, "commit": plan.commit.sha, "plan": entry.fact.hash}
        case "done" if entry.fact.verb == "publish":
            return {"digest": str(entry.fact.outcome["digest"])}
        case "entered":
            environment = {"environment": entry.environment} if entry.environment else {}
            changed = {"phase": entry.fact.phase, "reason": entry.fact.reason, "changed_at": entry.at}
            return {**changed, **environment}
    return {}


def insist_on_place(entries: Iterable[Entry], environment: str) -> None:
    """Raise Refused while one of these releases is changing another environment: there it must come back first."""
    for it in fold(entries).values():
        if it.phase in CHANGING and it.environment != environment:
            raise Refused(
                f"{it.release} is changing {it.environment} just now ({it.phase})",
                f"take it out of there first: interlock rollback {it.service} {it.environment} --reason …",
            )


def changing(entries: Iterable[Entry], environment: str) -> str | None:
    """Find the release that is changing an environment just now, or got stuck in it."""
    states = fold(entries).values()
    return next((s.release for s in states if s.phase in CHANGING and s.environment == environment), None)
