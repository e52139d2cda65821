"""What happened and why, told from the journal alone."""

from collections.abc import Iterable

from domain.environment.drift import says
from domain.facts import Entry, Fact
from domain.lease import carrier_of


def story(entries: Iterable[Entry]) -> tuple[tuple[str, str, str, str], ...]:
    """Tell a release in lines of (time, environment, actor, sentence).

    Single looks of the judge are left out, and how the release itself was handed from run to run.
    """
    return tuple(
        (entry.at, entry.environment, entry.actor.partition("/run ")[0], said)
        for entry in entries
        if entry.environment != carrier_of(entry.release) and (said := sentence(entry.fact)) is not None
    )


def brief(entries: Iterable[Entry], lines: int = 10) -> tuple[Entry, ...]:
    """Pick the entries that tell a release in so many lines: its beginning, what went wrong, who decided, its end."""
    told = [entry for entry in entries if entry.environment != carrier_of(entry.release) and _tells(entry.fact)]
    return tuple(told) if len(told) <= lines else (*told[:2], *told[2 - lines :])


def _tells(fact: Fact) -> bool:
    match fact.kind:
        case "entered":
            return fact.phase in ("rolling back", "rolled back", "aborted", "stuck", "released")
        case "judged":
            return fact.verdict.decision != "promote"
    return fact.kind in ("opened", "planned", "approved", "failed", "recovered", "remarked", "now serving")


def sentence(fact: Fact) -> str | None:  # noqa: PLR0911, PLR0912  # one line per kind of fact reads best as a table
    """Put one fact into a sentence; None for facts that are only data."""
    match fact.kind:
        case "opened":
            request = fact.request
            because = f" because {request.reason}" if request.reason else ""
            return f"{request.requester} asked for {request.ref} in {' → '.join(request.environments)}{because}"
        case "planned":
            return f"planned {fact.plan.version} from {fact.plan.commit.sha[:12]}, plan {fact.hash[:12]}"
        case "entered":
            return f"▸ {fact.phase}" + (f": {fact.reason}" if fact.reason else "")
        case "done":
            return f"{fact.verb}: {_outcome(fact.verb, fact.outcome)}" + (" (found done)" if fact.observed else "")
        case "failed":
            return f"{fact.verb} failed ({fact.error}): {fact.message}"
        case "gate opened":
            return f"waiting for people to answer: {fact.gate.question}?"
        case "approved":
            statement = fact.approval.statement
            return (
                f"{statement.approver} signed {statement.decision} on {statement.question}, plan {statement.plan[:12]}"
            )
        case "not counted":
            return f"an answer did not count: {fact.reason}"
        case "queued":
            return f"waits behind {fact.behind}" + (f": {fact.reason}" if fact.reason else "")
        case "superseded":
            return f"superseded by {fact.by}" + (f": {fact.reason}" if fact.reason else "")
        case "lease taken":
            over = f", taken over from {fact.took_over_from.partition('/')[0]}" if fact.took_over_from else ""
            return f"lease taken by {fact.owner.partition('/run ')[0]}: {fact.reason}{over}"
        case "lease returned":
            return "lease returned"
        case "recovered":
            return f"its run {fact.lost[:8] or 'nobody knows'} {fact.fate}: {fact.action} – {fact.reason}"
        case "remarked":
            return f"“{fact.text}”"
        case "judged":
            return f"judge at {fact.share / 100:g} %: {fact.verdict.decision} – {fact.verdict.reasons[0]}"
        case "now serving":
            if fact.settled is None:
                return "nothing serves any more"
            deployment = fact.settled.deployment
            return f"{deployment.version} serves from slot {deployment.slot} ({fact.settled.way})"
        case "announced":
            return f"told {', '.join(fact.groups)}: {fact.occasion}"
        case "compared":
            return says(fact.drifts) + (f" (looked because {fact.reason})" if fact.reason else "")
        case "cleared":
            return f"removed {fact.what}: {fact.reason}"
        case "backup held":
            return f"{fact.key} is held: {fact.reason}"
        case "backup freed":
            return f"{fact.key} is not held any more: {fact.reason}"
        case "backup let go":
            return f"lets go of {fact.key}: {fact.reason}"
    return None


def _outcome(verb: str, outcome: dict[str, object]) -> str:  # noqa: PLR0911  # a table again
    match verb:
        case "build":
            return str(outcome["image"]["id"])[:19]  # type: ignore[index]  # shape of domain.release.outcomes.Built
        case "publish":
            return f"{outcome['repository']}@{str(outcome['digest'])[:19]}"
        case "prove" | "drill":
            return f"the way back was walked on a copy, {outcome['evidence']}"
        case "back_up":
            stored = outcome["stored"]
            return f"restored and compared, {stored['key']}" if isinstance(stored, dict) else "nothing to migrate"
        case "migrate":
            applied = outcome["applied"]
            names = (
                [f"{row['number']:04d}_{row['name']}" for row in applied] if isinstance(applied, list | tuple) else []
            )
            return ", ".join(names) or "nothing to apply"
        case "deploy":
            replicas = outcome["replicas"]
            count = len(replicas) if isinstance(replicas, list | tuple) else 0
            deployment = outcome["deployment"]
            version = deployment["version"] if isinstance(deployment, dict) else "?"
            return f"{count} replica(s) of {version} ready"
        case "attach" | "shift":
            route = outcome["route"]
            share = route["green_share"] if isinstance(route, dict) else 0
            return f"green has {int(share) / 100:g} % of traffic"
        case "retire":
            return f"slot {outcome['slot']} drained and stopped"
        case "check":
            return f"{outcome['check']} passed, log in {outcome['evidence']}"
        case "report":
            return f"the judge's chart and numbers are in {outcome['evidence']}"
        case "verify":
            return f"{outcome['serving']} serves"
    return "done"
