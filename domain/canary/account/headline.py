"""What is going on, in one sentence for somebody who knows no statistics; numbers as people write them."""

import math
import re
from dataclasses import dataclass

from domain.canary.account.trace import Stretch, Trace
from domain.canary.histogram import QUANTILES
from domain.canary.tick import Arm
from domain.canary.verdict import Finding, Verdict

WITHIN = {0.5: "half of the requests", 0.9: "9 of 10 requests", 0.99: "99 of 100 requests"}
"""How a quantile is said."""
_SUSPECT = math.log(10)  # evidence from which a slowdown is worth a look


@dataclass(frozen=True)
class Names:
    """What both arms are called: by version, `v1.2.0` where it begins with a digit."""

    candidate: str
    stable: str

    @classmethod
    def of(cls, candidate: str, stable: str) -> "Names":
        """Name two versions."""
        return cls(*(f"v{version}" if version[:1].isdigit() else version for version in (candidate, stable)))

    def arm(self, arm: Arm) -> str:
        """Name an arm."""
        return self.candidate if arm == "candidate" else self.stable

    def within(self, reason: str) -> str:
        """Put the versions where a judge's reason speaks of its arms."""
        words = {"the candidate": self.candidate, "the stable version": self.stable}
        words |= {"candidate": self.candidate, "stable": self.stable}
        spoken = r"\b(?:the candidate|the stable version|(?:candidate|stable)(?= \d+/\d))\b"
        return re.sub(spoken, lambda found: words[found[0]], reason)


def headline(told: Trace, names: Names) -> str:
    """Say what is going on, or how it ended."""
    verdict, watched = told.decided or told.last, duration(told.looks)
    share = told.stretches[-1].share if told.stretches else 0
    match verdict.decision if told.decided else "continue":
        case "roll back":
            return f"{accusation(told, names)}: sent back after {watched}"
        case "hold" | "drain":
            question = _open_question(verdict, names)
            slow = f" ({_within(told, names)})" if question.endswith("latency") else ""
            return f"{names.candidate} is held at {share / 100:g} % after {watched}: {question}{slow}"
        case "promote" if told.stretches[-1].last:
            return f"{_compared(told, names)}: it {'has' if share == 10_000 else 'gets'} all traffic, after {watched}"
        case "promote":
            return f"{_compared(told, names)}: more than {share / 100:g} % of the traffic may follow"
    what = _first(names.within(verdict.reasons[0]))
    return f"{names.candidate} has {share / 100:g} % of the traffic, watched for {watched}: {what}"


def accusation(told: Trace, names: Names) -> str:
    """Say what the version did, by the kind of harm for which the evidence is enough; a guard has words of its own."""
    guilty = [it.metric.removeprefix("harm: ") for it in told.last.findings if crossed(it) and "harm" in it.metric]
    if told.decided and not guilty:
        return _first(names.within(told.decided.reasons[0]))
    kind = guilty[0] if guilty else "errors"
    if kind == "errors":
        return _compared(told, names)
    if kind == "latency":
        return f"{names.candidate} is slower: {_within(told, names)}"
    return f"{names.candidate} compared with {names.stable}: {kind}"


def slowest(told: Trace) -> float:
    """Pick the quantile of latency at which the candidate is slowest by comparison; 0.9 while that may be chance."""
    if not any(it.metric == "harm: latency" and it.ln_e >= _SUSPECT for it in told.last.findings):
        return 0.9
    arms, far = latest_beside(told).arms, {0.9: 0.0}
    for q in QUANTILES.tolist():
        own, other = arms["candidate"].within(q), arms["stable"].within(q)
        if own and other:
            far[q] = own / other
    return max(far, key=lambda q: far[q])


def crossed(finding: Finding) -> bool:
    """Tell whether evidence is enough."""
    return finding.ln_e >= finding.needed


def _compared(told: Trace, names: Names) -> str:
    """Compare what both failed since the share that is watched now; a version with all traffic with what was beside."""
    own, other = told.stretches[-1].arms["candidate"].rate, latest_beside(told).arms["stable"].rate
    beside = f", {names.stable} {percent(other)}" if other is not None else ""
    return f"{names.candidate} fails {percent(own)} of requests{beside}"


def _within(told: Trace, names: Names) -> str:
    q, arms = slowest(told), latest_beside(told).arms
    own, other = (milliseconds(arms[arm].within(q)) for arm in ("candidate", "stable"))
    return f"{WITHIN[q]} within {own}, with {names.stable} {other}"


def latest_beside(told: Trace) -> Stretch:
    """Find the last share at which both versions had requests; the last one where they never had."""
    both = [it for it in told.stretches if all(total.requests for total in it.arms.values())]
    return (both or told.stretches)[-1]


def _open_question(verdict: Verdict, names: Names) -> str:
    reason = names.within(re.sub(r"^no decision after \d+ s: ", "", verdict.reasons[0]))
    return _first(reason)


def _first(reason: str) -> str:
    """Leave out the counts that stand behind a reason."""
    return re.split(r": (?=\S+ \d+/\d)|; (?=\S+ \d+/\d)", reason)[0]


def percent(part: float | None) -> str:
    """Write a part as people do: `5.1 %`, `0.14 %`, `12 %`."""
    if part is None:
        return "nothing"
    if 0 < part < 0.00005:
        return "under 0.01 %"
    places = 0 if part >= 0.0995 or not part else 1 if part >= 0.00995 else 2
    return f"{part * 100:.{places}f} %"


def duration(seconds: float) -> str:
    """Write seconds as people do: `23 s`, `4 min 10 s`, `1 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def milliseconds(value: float | None) -> str:
    """Write milliseconds as people do, with two figures that count: `4.2 ms`, `62 ms`, `1.3 s`."""
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def odds(ln_e: float) -> str:
    """Write evidence as odds against chance: `250 : 1`; beyond a million nobody counts."""
    if ln_e > math.log(1e6):
        return "over 1 000 000 : 1"
    e = math.exp(ln_e)
    return f"{e:.1f} : 1" if e < 10 else f"{e:,.0f} : 1".replace(",", "\N{NO-BREAK SPACE}")
