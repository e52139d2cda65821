"""A whole rollout as a pure fold over ticks: share after share, until it is promoted, goes back, or needs a person."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Literal

from pydantic import Field, model_validator

from domain.canary.calibration import Spread
from domain.canary.criteria import Criteria
from domain.canary.judge import Judge, witnessed
from domain.canary.residual import NO_PAST, Past
from domain.canary.tick import Tick
from domain.canary.verdict import Finding, Verdict
from domain.value import Seconds, Value, made

Action = Literal["continue", "advance", "promote", "rollback", "drain", "hold"]
FINAL: frozenset[Action] = frozenset({"promote", "rollback"})
_WHOLE = 10_000  # basis points


class Course(Value):
    """Which shares of traffic a candidate is given, how long each may take, and what is asked of it."""

    steps: tuple[int, ...] = Field(
        default=(1_000, 5_000, 10_000), description="shares in basis points, rising to 10000; (10000,) is blue-green"
    )
    at_least: Seconds = Field(default=0.0, ge=0, description="shortest time at one share")
    at_most: Seconds = Field(default=1800.0, gt=0, description="longest time at one share; then somebody must look")
    bake: Seconds = Field(default=900.0, ge=0, description="how long the candidate is watched with all traffic")
    holdback: int = Field(
        default=0, ge=0, le=2_000, description="share in basis points that stays on the stable version during the bake"
    )
    criteria: Criteria = Criteria()

    @model_validator(mode="after")
    def _rises(self) -> "Course":
        if (
            not self.steps
            or self.steps[-1] != _WHOLE
            or self.steps[0] < 1
            or list(self.steps) != sorted(set(self.steps))
        ):
            raise ValueError("steps must rise strictly and end at 10000, such as [1000, 5000, 10000]")
        return self

    @property
    def shares(self) -> tuple[int, ...]:
        """List the shares that are walked; the candidate is baked at the last one, and has all traffic after that."""
        last = _WHOLE - self.holdback
        return (*(share for share in self.steps if share < last), last)


class Ruling(Value):
    """What to do now: an action, the share of traffic that the candidate has after it, and the verdict behind it."""

    action: Action
    share: int
    verdict: Verdict


class Ramp:
    """Where a rollout is. Time is the ticks' own: the same ticks give the same rulings, whenever they are read."""

    def __init__(self, course: Course, spread: Spread | None = None, past: Past = NO_PAST) -> None:
        self._course, self._shares = course, course.shares
        self._judge = Judge(course.criteria, spread, past)
        self._step, self._since = 0, -1
        self._ended: Ruling | None = None
        self._enter()

    @property
    def share(self) -> int:
        """Tell the candidate's share of traffic, in basis points."""
        return self._shares[self._step]

    def look(self, tick: Tick) -> Ruling:
        """Take one tick in and rule; a rollout that has ended stays ended."""
        return self.looks([tick])[0]

    def looks(self, ticks: Sequence[Tick]) -> list[Ruling]:
        """Take ticks in and rule at each; the same as one by one, and several times as fast."""
        rulings: list[Ruling] = []
        while (rest := ticks[len(rulings) :]) and not self._ended:
            rulings += self._until_turn(rest)
        return rulings + [self._ended] * len(rest) if self._ended else rulings

    def _until_turn(self, ticks: Sequence[Tick]) -> list[Ruling]:
        """Rule until the share changes; the judge forgets what it has seen after that."""
        before = deepcopy(self._judge) if len(ticks) > 1 else self._judge
        rulings, share = [], self.share
        for tick, verdict in zip(ticks, self._judge.looks(ticks), strict=True):
            rulings.append(self._take(tick, verdict))
            if self._ended or self.share != share:
                break
        if len(rulings) < len(ticks) and not self._ended:
            self._judge = before
            self._judge.looks(ticks[: len(rulings)])
        if self.share != share:
            self._enter()
        return rulings

    def _take(self, tick: Tick, verdict: Verdict) -> Ruling:
        self._since = tick.second if self._since < 0 else self._since
        ruling = self._rule(verdict, tick.second + 1 - self._since)
        if ruling.action in FINAL:
            self._ended = ruling
        return ruling

    def _rule(self, verdict: Verdict, waited: int) -> Ruling:
        course, baking = self._course, self._step == len(self._shares) - 1
        if verdict.decision == "roll back":
            return made(Ruling, action="rollback", share=0, verdict=verdict)
        if verdict.decision in ("drain", "hold"):
            return made(Ruling, action=verdict.decision, share=self.share, verdict=verdict)
        if baking and waited >= course.bake:
            action, share = ("promote", _WHOLE) if witnessed(verdict) else ("hold", self.share)
            return made(Ruling, action=action, share=share, verdict=verdict)
        if verdict.decision == "promote" and waited >= course.at_least and not baking:
            self._step, self._since = self._step + 1, -1
            return made(Ruling, action="advance", share=self.share, verdict=verdict)
        if waited >= course.at_most and not baking:
            return made(Ruling, action="hold", share=self.share, verdict=verdict)
        return made(Ruling, action="continue", share=self.share, verdict=verdict)

    def _enter(self) -> None:
        self._judge.enter(self.share, self._shares[min(self._step + 1, len(self._shares) - 1)])


def plain(t: float, ruling: Ruling) -> dict[str, Any]:
    """Put a ruling into the shape that `interlock judge` writes, one object a line."""
    verdict = ruling.verdict
    return {
        "t": t,
        "action": ruling.action,
        "host": verdict.host or None,
        "share_bp": ruling.share,
        "reasons": list(verdict.reasons),
        "evidence": {
            **verdict.numbers,
            **{it.metric: _plain(it) for it in verdict.findings},
        },
    }


def _plain(found: Finding) -> dict[str, float]:
    told = {"ln_e": found.ln_e, "needed": found.needed}
    if found.low is not None:
        told["low"] = found.low
    if found.high is not None:
        told["high"] = found.high
    return told
