"""What the candidate is charged with: each kind of harm, the evidence for it, and what it takes to be believed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from domain.canary.eprocess import Floats
from domain.canary.harm import Shown
from domain.canary.verdict import Finding


@dataclass(frozen=True)
class Charge:
    """One kind of harm: the evidence of all replicas (natural logarithm), and whether it holds without any one, too."""

    name: str
    words: str
    all: float
    needed: float
    guilty: bool


def charges(name: str, words: str, evidence: Floats, alpha: float, shown: Shown) -> list[Charge]:
    """Weigh one of harm's own kinds of evidence (T, V) against a part of alpha, look by look."""
    needed = math.log(1 / alpha)
    found = zip(evidence[:, 0].tolist(), shown.crosses(evidence, needed).tolist(), strict=True)
    return [Charge(name, words, every, needed, guilty) for every, guilty in found]


def signal(name: str, evidence: float, alpha: float) -> Charge:
    """Weigh what was told of a version as a whole against a part of alpha."""
    needed = math.log(1 / alpha)
    return Charge(name, f"the candidate's {name}", evidence, needed, evidence >= needed)


@dataclass(frozen=True)
class Evidence:
    """All that one look, and those before it, have to say.

    `seen` are requests and bad ones at this share, the candidate's and then the stable version's; `health` is the
    evidence for errors and latency within their budgets, None with all traffic; `ratio` the bounds of the ratio of
    error rates; `astray` the evidence that the split is another one; `broken` a replica that fails alone.
    """

    share: int
    seen: Sequence[float]
    charges: Sequence[Charge]
    health: tuple[float, float] | None
    ratio: tuple[float, float]
    astray: float
    broken: str
    measures_latency: bool

    def findings(self, proof: float) -> tuple[Finding, ...]:
        """Tell it kind by kind: harm, and that harm above the budget is ruled out, which takes `proof`."""
        told = [Finding(metric=f"harm: {it.name}", ln_e=it.all, needed=it.needed) for it in self.charges]
        if self.health is None:
            return tuple(told)
        low, high = self.ratio
        first = self.charges[0]
        told[0] = Finding(
            metric=f"harm: {first.name}",
            ln_e=first.all,
            needed=first.needed,
            low=low,
            high=high if math.isfinite(high) else None,
        )
        errors, latency = self.health
        told.append(Finding(metric="health: errors", ln_e=errors, needed=proof))
        told.append(Finding(metric="health: latency", ln_e=latency, needed=proof))
        return tuple(told)

    def rates(self) -> str:
        """Say what both arms failed."""
        own, bad, there, failed = self.seen
        return f"candidate {_rate(own, bad)}, stable {_rate(there, failed)}"

    def numbers(self) -> dict[str, float]:
        """Give share and counts by name."""
        own, bad, there, failed = self.seen
        return {
            "share": self.share / 10_000,
            "candidate_requests": own,
            "candidate_bad": bad,
            "stable_requests": there,
            "stable_bad": failed,
        }


def _rate(requests: float, bad: float) -> str:
    return f"{bad:.0f}/{requests:.0f}" + (f" ({bad / requests:.2%})" if requests else "")
