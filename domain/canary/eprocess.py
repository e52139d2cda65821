"""Evidence that may be looked at every second: e-processes with an onset mixture.

An e-process is a non-negative process whose expectation stays at most 1 while the null hypothesis holds, so by
Ville's inequality the chance that it *ever* reaches 1/alpha is at most alpha, however often one looks (Ramdas et al.,
"Game-theoretic statistics and safe anytime-valid inference", Statistical Science 2023).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Mixture:
    """A mixture over alternatives and over the moment the fault set in.

    M_t = R_t + sum_j W_jt with W_jt = (W_j,t-1 + pi_t w_j) LR_jt: half of the weight starts at the first look, the rest
    is handed out evenly over `onsets` later starts, one every `every` looks; what is not handed out yet stays R_t.
    A late fault is then not diluted by a long healthy start, and E[M_t] <= 1 still holds.
    """

    def __init__(self, alternatives: int, *, first: float = 0.5, every: int = 12, onsets: int = 60) -> None:
        self._log_weight = np.full(alternatives, -np.log(alternatives))
        self._log = np.full(alternatives, -np.inf)
        self._first, self._every, self._onsets = first, every, onsets
        self._looks, self._given = 0, 0.0

    def look(self, log_ratios: Floats) -> float:
        """Multiply in one look's likelihood ratios (natural logs, one per alternative); return ln M_t."""
        if self._looks % self._every == 0:
            share = self._first if self._looks == 0 else (1 - self._first) / self._onsets
            share = min(share, 1 - self._given)
            if share > 1e-12:
                self._given += share
                self._log = np.logaddexp(self._log, self._log_weight + np.log(share))
        self._looks += 1
        self._log = self._log + log_ratios
        kept = 1 - self._given
        running = float(np.logaddexp.reduce(self._log))
        return float(np.logaddexp(running, np.log(kept))) if kept > 1e-12 else running


class RatioTest:
    """H0: the candidate's error rate is at most r0 times the stable one's, which is unknown and may drift.

    Conditional on the total of errors in a look, the candidate's part is binomial; alternatives r0 times 1.3 … 1000
    (Lindon & Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022, with a margin).
    """

    def __init__(self, r0: float) -> None:
        self._r0 = r0
        self._r = r0 * np.array([1.3, 2.0, 3.5, 7.0, 20.0, 100.0, 1000.0])
        self._mixture = Mixture(len(self._r))

    def look(self, candidate: tuple[int, int], stable: tuple[int, int]) -> float:
        """Take one look at (requests, bad) of both arms; return ln E."""
        (n_c, x_c), (n_s, x_s) = candidate, stable
        if n_c == 0 or n_s == 0:
            return self._mixture.look(np.zeros(len(self._r)))
        share = np.log((self._r * n_c + n_s) / (self._r0 * n_c + n_s))
        return self._mixture.look(x_c * np.log(self._r / self._r0) - (x_c + x_s) * share)


class LevelTest:
    """H0: an error rate is at most (or, with `below`, at least) a given level; binomial likelihood ratios."""

    def __init__(self, level: float, *, below: bool = False) -> None:
        factors = np.array([0.5, 0.2, 0.05, 0.005]) if below else np.array([1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0])
        self._level = level
        self._p = np.unique(np.minimum(level * factors, 0.999))
        self._mixture = Mixture(len(self._p), first=1.0 if below else 0.5)

    def look(self, requests: int, bad: int) -> float:
        """Take one look; return ln E."""
        good = np.log1p(-self._p) - np.log1p(-self._level)
        return self._mixture.look(bad * np.log(self._p / self._level) + (requests - bad) * good)
