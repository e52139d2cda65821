"""What stands in an environment, folded from the effects that the journal recorded."""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.errors import Conflict
from domain.facts import Done, Entry, Intended, NowServing
from domain.release.outcomes import OUTCOMES, Deployed, Migrated, Retired, Routed
from domain.release.plan import Settled
from domain.release.route import Route, Slot, other
from domain.value import Value


class Standing(Value):
    """One service in one environment: replicas per slot, traffic, schema, what settled before, the highest token.

    `emptying` is a slot that somebody began to retire, and perhaps did not finish: its replicas may be gone.
    """

    route: Route | None = None
    blue: Deployed | None = None
    green: Deployed | None = None
    emptying: Slot | None = None
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
    known, token = dict(Standing()), 0
    for entry in entries:
        token = max(token, entry.token)
        match entry.fact:
            case NowServing(settled=settled):
                known["settled"] = (*known["settled"], settled) if settled else ()
            case Intended(verb="retire") if known["route"]:
                known["emptying"] = other(known["route"].leading)
            case Done(verb=verb, outcome=outcome) if verb in OUTCOMES:
                known |= _effect(known, OUTCOMES[verb].model_validate(outcome))
    return Standing().model_copy(update={**known, "token": token})


def insist_as_planned(standing: Standing, planned: Settled | None, where: str, changing: str | None) -> None:
    """Raise Conflict when an environment is no longer what a plan found there, so that its slot may be taken by now.

    `planned` is what served then, `changing` a release that is changing the environment just now.
    """
    if changing:
        raise Conflict(f"{changing} is in the middle of changing {where}", "wait until it has ended, and plan again")
    if standing.serving != planned:
        now, then = (it.deployment.release if it else "nothing" for it in (standing.serving, planned))
        raise Conflict(f"{where} has changed since the plan: {now} serves there now, it was {then}", "plan again")


def _effect(known: Mapping[str, Any], outcome: Value) -> dict[str, Any]:
    """Tell what an effect changes in what is known so far."""
    match outcome:
        case Deployed(deployment=deployment):
            again = {"emptying": None} if known["emptying"] == deployment.slot else {}
            return {deployment.slot: outcome, **again}
        case Routed(route=route):
            return {"route": route}
        case Retired(route=route, slot=slot):
            return {"route": route, slot: None, "emptying": None}
        case Migrated() if outcome.after:
            numbers = {*known["migrations"], *(row.number for row in outcome.applied)}
            return {"fingerprint": outcome.after, "migrations": tuple(sorted(numbers))}
    return {}
