"""What the candidate is charged with: each kind of harm, the evidence for it, and what it takes to be believed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.canary.eprocess import Floats
from domain.canary.harm import Harm
from domain.canary.health import Health
from domain.canary.share import Interval
from domain.canary.tick import Arm
from domain.canary.verdict import Finding


@dataclass(frozen=True)
class Charge:
    """One kind of harm: the evidence of all replicas (natural logarithm), and whether it holds without any one, too."""

    name: str
    words: str
    all: float
    needed: float
    guilty: bool


def charge(name: str, words: str, evidence: Floats, alpha: float, harm: Harm) -> Charge:
    """Weigh one of harm's own kinds of evidence (V,) against a part of alpha."""
    needed = math.log(1 / alpha)
    return Charge(name, words, float(evidence[0]), needed, bool(harm.crosses(evidence, needed)))


def signal(name: str, evidence: float, alpha: float) -> Charge:
    """Weigh what was told of a version as a whole against a part of alpha."""
    needed = math.log(1 / alpha)
    return Charge(name, f"the candidate's {name}", evidence, needed, evidence >= needed)


def findings(charges: Sequence[Charge], health: Health | None, beta: float, interval: Interval) -> tuple[Finding, ...]:
    """Tell all evidence of one look: harm by kind, and that harm above the budget is ruled out."""
    low, high = interval.bounds
    told = [Finding(metric=f"harm: {it.name}", ln_e=it.all, needed=it.needed) for it in charges]
    if health:
        told[0] = told[0].model_copy(update={"low": low, "high": high if math.isfinite(high) else None})
        proof = math.log(1 / beta)
        told += [
            Finding(metric="health: errors", ln_e=float(health.errors), needed=proof),
            Finding(metric="health: latency", ln_e=float(health.latency), needed=proof),
        ]
    return tuple(told)


def rates(seen: Mapping[Arm, Sequence[int]]) -> str:
    """Say what both arms failed: requests and bad ones by arm."""
    said = []
    for arm, (requests, bad) in seen.items():
        said.append(f"{arm} {bad}/{requests}" + (f" ({bad / requests:.2%})" if requests else ""))
    return ", ".join(said)
