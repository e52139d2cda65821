"""What stands beside the tests: guards that somebody declared, put over the judge's verdict look by look."""

from domain.canary.budget import Cost
from domain.canary.burn import Burn
from domain.canary.criteria import Criteria
from domain.canary.residual import Past
from domain.canary.season import Usual
from domain.canary.tick import Tick
from domain.canary.verdict import Verdict


class Guards:
    """The burn of the error budget, what a release may cost, and what is usual; none of them unless declared."""

    def __init__(self, criteria: Criteria, past: Past) -> None:
        self._burn = Burn(criteria.objective) if criteria.objective else None
        self._cost = Cost(criteria.failures) if criteria.failures else None
        self._usual = Usual(criteria.season, past) if criteria.season else None

    def over(self, verdict: Verdict, tick: Tick) -> Verdict:
        """Take a look in: a guard that has words sends the candidate back, whatever the tests say."""
        if not (self._burn or self._cost or self._usual):
            return verdict
        alone = verdict.numbers["share"] >= 1.0
        words = [self._burning(tick), self._too_dear(tick, alone=alone), self._unusual(tick, alone=alone)]
        against = [it for it in words if it]
        missing = self._usual.missing if self._usual and alone else ""
        unknown = [f"not held against the past: {missing}"] if missing else []
        changed: dict[str, object] = {"reasons": (*against, *verdict.reasons, *unknown)}
        if self._burn:
            changed["numbers"] = verdict.numbers | self._burn.numbers
        if against:
            changed |= {"decision": "roll back", "host": ""}
        return verdict.model_copy(update=changed) if against or unknown or self._burn else verdict

    def _burning(self, tick: Tick) -> str:
        if self._burn is None:
            return ""
        self._burn.look(tick.second, *tick.total("candidate"))
        return self._burn.words

    def _too_dear(self, tick: Tick, *, alone: bool) -> str:
        if self._cost is None:
            return ""
        if not alone:
            self._cost.look(tick)
        return self._cost.words

    def _unusual(self, tick: Tick, *, alone: bool) -> str:
        if self._usual is None or not alone:
            return ""
        self._usual.look(tick)
        return self._usual.words
