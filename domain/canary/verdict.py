"""What the judge may say."""

from typing import Literal

from pydantic import Field

from domain.value import Value

Decision = Literal["continue", "promote", "roll back", "drain", "hold"]


class Finding(Value):
    """One kind of evidence, as natural logarithms: how much there is, and how much it takes."""

    metric: str
    ln_e: float
    needed: float
    low: float | None = Field(
        default=None, description="of the ratio of error rates: not excluded at 95 %, at any look"
    )
    high: float | None = None


class Verdict(Value):
    """A decision with its reasons and the numbers behind them."""

    decision: Decision
    reasons: tuple[str, ...]
    numbers: dict[str, float] = {}
    host: str = Field(default="", description="the replica to take out, where the decision is drain")
    findings: tuple[Finding, ...] = ()
