"""From one look's evidence to a verdict, with the reason in plain words."""

import math
from dataclasses import dataclass

from domain.canary.charges import Evidence
from domain.canary.share import SURE
from domain.canary.verdict import Decision, Verdict
from domain.value import made


@dataclass(frozen=True)
class Standard:
    """What a share of traffic must meet: failures and slowness that must be ruled out, and how surely.

    `tolerated` is a part of the candidate's requests, `slower` a part of the stable version's latency, None where
    latency is not judged; `source` says where the margins are from.
    """

    tolerated: float
    slower: float | None
    beta: float
    source: str


def decide(seen: Evidence, standard: Standard) -> Verdict:
    """Decide on the first thing that applies: what speaks against the candidate, what is missing, what is shown."""
    decision, reason, host = _against(seen) or _waiting(seen) or _shown(seen, standard)
    said = (reason, f"spread: {standard.source}") if decision in ("roll back", "promote") else (reason,)
    findings = seen.findings(math.log(1 / standard.beta))
    return made(Verdict, decision=decision, reasons=said, numbers=seen.numbers(), host=host, findings=findings)


_Said = tuple[Decision, str, str]


def _against(seen: Evidence) -> _Said | None:
    """Say what speaks against the candidate, or against the comparison."""
    for charge in seen.charges:
        if charge.guilty:
            return "roll back", f"{charge.words}: {seen.rates()}", ""
    if seen.broken:
        return "drain", f"{seen.broken} fails far more than its siblings; {seen.rates()}", seen.broken
    if seen.astray >= SURE:
        part = f"{seen.share / 100:g} % of the traffic was meant for the candidate"
        return "hold", f"{part}, it gets another part: what is compared is not alike; {seen.rates()}", ""
    return None


def _waiting(seen: Evidence) -> _Said | None:
    """Say what must be waited for before anything is promoted."""
    if not seen.seen[0]:
        return "continue", "no request has reached the candidate yet: nothing is measured", ""
    if seen.health and not seen.seen[2]:
        return "continue", "no request has reached the stable version yet: nothing to compare with", ""
    if suspect := next((it for it in seen.charges if it.all >= it.needed), None):
        return "continue", f"{suspect.words}, because of one replica so far: {seen.rates()}", ""
    return None


def _shown(seen: Evidence, standard: Standard) -> _Said:
    if seen.health is None:
        return "continue", f"no harm is shown with all traffic: {seen.rates()}", ""
    proof = math.log(1 / standard.beta)
    harmless, quick = (evidence >= proof for evidence in seen.health)
    measured = standard.slower is not None and seen.measures_latency
    if harmless and (quick or not measured):
        latency = f", and latency above {1 + (standard.slower or 0.0):.2f} times" if measured else ""
        ruled_out = f"harm above {standard.tolerated:.2%} of requests{latency} is ruled out at this share"
        return "promote", f"{ruled_out}: {seen.rates()}", ""
    missing = " and ".join(["errors"] * (not harmless) + ["latency"] * (measured and not quick))
    return "continue", f"not enough evidence yet about {missing}: {seen.rates()}", ""
