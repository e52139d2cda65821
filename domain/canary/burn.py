"""The burn of an error budget: an absolute guard, for harm that no comparison shows because both versions share it.

Multi-window, multi-burn-rate, as published for alerts: "The Site Reliability Workbook" (Google, 2018), chapter 5,
table 5-8. Its two pages are 14.4 times the budget over one hour and 6 times over six hours, each only while a window of
a twelfth burns as well. The burn rates are kept, and so is the proportion of all windows; the longest of them is
`objective.window`, as a bake lasts minutes. It is no test and spends no alpha; bench/canary counts false alarms.
"""

from collections import deque

from domain.canary.criteria import Objective

_PAIRS = ((14.4, 1 / 6), (6.0, 1.0))
"""Burn rate, and the part of the longest window over which it must last."""
_SHORT = 1 / 12
"""The part of a pair's window that must burn as well: what is over already takes nothing back."""


class Burn:
    """The candidate's burn, look by look, at whatever share. Time is that of the looks: the same looks, the same burn.

    A window that reaches back beyond the first look counts as good what it has not seen, at the same traffic: a burst
    in the first seconds must weigh as much as one in the middle. Retries of one client count once, as everywhere.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective, self._first = objective, 0
        self._pairs = [
            (rate, _Window(part * objective.window), _Window(part * objective.window * _SHORT)) for rate, part in _PAIRS
        ]
        self._begun = False

    def look(self, second: int, requests: int, bad: int) -> None:
        """Take in what the candidate was asked in the look that ends with this second, and how much of it failed."""
        if not self._begun:
            self._first, self._begun = second, True
        for _, long, short in self._pairs:
            long.add(second, requests, bad)
            short.add(second, requests, bad)

    @property
    def numbers(self) -> dict[str, float]:
        """Give for each pair how many times as fast as allowed its budget burns: the slower of its two windows."""
        return {
            f"burn_{round(long.seconds)}s": min(self._rate(long), self._rate(short)) for _, long, short in self._pairs
        }

    @property
    def words(self) -> str:
        """Say what burns, and how fast; empty while nothing does."""
        for (limit, long, short), burning in zip(self._pairs, self.numbers.values(), strict=True):
            if burning >= limit and long.bad >= self._objective.at_least:
                over = f"over {long.seconds:.0f} s and the last {short.seconds:.0f} s"
                allowed = f"as fast as {self._objective.success:g} % allows"
                return f"the candidate burns its error budget {burning:.1f} times {allowed}, {over} (limit {limit:g})"
        return ""

    def _rate(self, window: "_Window") -> float:
        seen = min(1.0, (window.last - self._first + 1) / window.seconds)
        expected = window.requests * (1 - self._objective.success / 100) / seen
        return window.bad / expected if window.requests else 0.0


class _Window:
    """The looks of the last so many seconds, and their sums."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.last = seconds, 0
        self.requests = self.bad = 0
        self._looks: deque[tuple[int, int, int]] = deque()

    def add(self, second: int, requests: int, bad: int) -> None:
        self.last = second
        self.requests, self.bad = self.requests + requests, self.bad + bad
        self._looks.append((second, requests, bad))
        while self._looks[0][0] <= second - self.seconds:
            _, old, failed = self._looks.popleft()
            self.requests, self.bad = self.requests - old, self.bad - failed
