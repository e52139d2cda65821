"""What the judge may say."""

from typing import Literal

from domain.value import Value

Decision = Literal["continue", "promote", "roll back", "hold"]


class Verdict(Value):
    """A decision with its reasons and the numbers behind them."""

    decision: Decision
    reasons: tuple[str, ...]
    numbers: dict[str, float] = {}
