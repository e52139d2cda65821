"""What stands in an environment, folded from the effects that the journal recorded."""

from collections.abc import Iterable

from domain.facts import Done, Entry, NowServing
from domain.release.outcomes import OUTCOMES, Deployed, Migrated, Retired, Routed
from domain.release.plan import Settled
from domain.release.route import Route, Slot
from domain.value import Value


class Standing(Value):
    """One service in one environment: replicas per slot, traffic, schema, what settled before, the highest token."""

    route: Route | None = None
    blue: Deployed | None = None
    green: Deployed | None = None
    fingerprint: str | None = None
    migrations: tuple[int, ...] = ()
    settled: tuple[Settled, ...] = ()
    token: int = 0

    def slot(self, slot: Slot) -> Deployed | None:
        """Tell what was deployed into a slot and not retired since."""
        return self.blue if slot == "blue" else self.green

    @property
    def serving(self) -> Settled | None:
        """Tell what serves by the last finished release or rollback."""
        return self.settled[-1] if self.settled else None


def fold(entries: Iterable[Entry]) -> Standing:
    """Fold the entries of one service and environment, in order."""
    standing = Standing()
    for entry in entries:
        standing = standing.model_copy(update={"token": max(standing.token, entry.token)})
        match entry.fact:
            case NowServing(settled=settled):
                standing = standing.model_copy(update={"settled": (*standing.settled, settled)})
            case Done(verb=verb, outcome=outcome) if verb in OUTCOMES:
                standing = _effect(standing, OUTCOMES[verb].model_validate(outcome))
    return standing


def _effect(standing: Standing, outcome: Value) -> Standing:
    match outcome:
        case Deployed():
            return standing.model_copy(update={outcome.deployment.slot: outcome})
        case Routed():
            return standing.model_copy(update={"route": outcome.route})
        case Retired():
            return standing.model_copy(update={"route": outcome.route, outcome.slot: None})
        case Migrated() if outcome.after:
            numbers = {*standing.migrations, *(row.number for row in outcome.applied)}
            return standing.model_copy(update={"fingerprint": outcome.after, "migrations": tuple(sorted(numbers))})
    return standing
