"""A source's totals held against the router's: the same requests, counted twice over by different means."""

from collections import deque

from domain.canary.tick import Arm, Tick

_TOLERANCE = 1.25  # either way; health checks and the seconds at both ends may differ by that
_FEW = 20  # requests


class Tally:
    """Both totals of each arm since the beginning. `lag`: so many seconds may a source be behind."""

    def __init__(self, lag: float) -> None:
        seconds = max(1, round(lag))
        self._own: dict[Arm, int] = {"candidate": 0, "stable": 0}
        self._router: dict[Arm, deque[int]] = {arm: deque([0], maxlen=seconds + 1) for arm in self._own}
        self._settled = 4 * seconds
        self._looks = 0

    def note(self, own: Tick, router: Tick) -> str:
        """Take in both ticks of a second; say which arm's totals do not fit together, in words, or nothing."""
        self._looks += 1
        said = []
        for arm, totals in self._router.items():
            self._own[arm] += own.total(arm)[0]
            totals.append(totals[-1] + router.total(arm)[0])
            counted, before, now = self._own[arm], totals[0], totals[-1]
            too_few = counted < before / _TOLERANCE - _FEW
            too_many = self._looks > self._settled and counted > now * _TOLERANCE + _FEW
            if too_few or too_many:
                said.append(f"the source counts {counted} {arm} requests, the router {before if too_few else now}")
        return "; ".join(said)
