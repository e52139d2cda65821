"""What the candidate is charged with: each kind of harm, the evidence for it, and what it takes to be believed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from domain.canary.eprocess import Floats
from domain.canary.harm import Shown
from domain.canary.verdict import Finding
from domain.value import made


class Charge(NamedTuple):
    """One kind of harm: the evidence of all replicas (natural logarithm), and whether it holds without any one, too."""

    metric: str
    words: str
    all: float
    needed: float
    guilty: bool


def charges(name: str, words: str, evidence: Floats, alpha: float, shown: Shown) -> list[Charge]:
    """Weigh one of harm's own kinds of evidence (T, V) against a part of alpha, look by look."""
    metric, needed = f"harm: {name}", math.log(1 / alpha)
    found = zip(evidence[:, 0].tolist(), shown.crosses(evidence, needed).tolist(), strict=True)
    return [Charge(metric, words, every, needed, guilty) for every, guilty in found]


def signals(name: str, evidence: Sequence[float], alpha: float) -> list[Charge]:
    """Weigh what was told of a version as a whole against a part of alpha, look by look."""
    metric, words, needed = f"harm: {name}", f"the candidate's {name}", math.log(1 / alpha)
    return [Charge(metric, words, it, needed, it >= needed) for it in evidence]


class Evidence(NamedTuple):
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
        if self.health is None:
            return tuple(_finding(it.metric, it.all, it.needed) for it in self.charges)
        (low, high), (errors, latency) = self.ratio, self.health
        first, *others = self.charges
        return (
            _finding(first.metric, first.all, first.needed, low, high if math.isfinite(high) else None),
            *[_finding(it.metric, it.all, it.needed) for it in others],
            _finding("health: errors", errors, proof),
            _finding("health: latency", latency, proof),
        )

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


def _finding(metric: str, ln_e: float, needed: float, low: float | None = None, high: float | None = None) -> Finding:
    return made(Finding, metric=metric, ln_e=ln_e, needed=needed, low=low, high=high)


def _rate(requests: float, bad: float) -> str:
    return f"{bad:.0f}/{requests:.0f}" + (f" ({bad / requests:.2%})" if requests else "")
