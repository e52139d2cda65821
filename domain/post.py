"""A notice on its way, and how patiently it is tried."""

from typing import Literal

from domain.errors import ReleaseError, Unavailable
from domain.value import Value

MOST_TRIES = 6
CLAIM = 120.0  # seconds a deliverer has a notice to itself; must exceed any time-out of a Notices adapter
_LONGEST_WAIT = 300.0


class Notice(Value):
    """One message to one stakeholder group, and how its delivery went so far."""

    key: str
    group: str
    title: str
    body: str
    tries: int = 0
    error: str = ""


def after_failure(tries: int, error: ReleaseError, jitter: float) -> tuple[Literal["due", "dead"], float]:
    """Tell whether to try again, and after how many seconds: 2, 4, 8 …, scaled by `jitter`.

    What can never get through, such as a notice to a group without a target, is dead at once.
    """
    over = tries >= MOST_TRIES or not isinstance(error, Unavailable)
    return "dead" if over else "due", min(_LONGEST_WAIT, 2.0**tries) * jitter
