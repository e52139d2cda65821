"""Evidence of health: harm above the budget is ruled out, or nothing is promoted.

Each test takes the harm as its null, so it begins anew at every share: what was seen at a tenth of the traffic says
nothing about half of it.
"""

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from domain.canary import eprocess
from domain.canary.eprocess import Floats, Mixture
from domain.canary.harm import Counts, Slow

_FADE = 0.999  # per look: the stable error rate of about the last quarter of an hour
_ROOM = np.array([1.0, 0.9, 0.75, 0.5, 0.25])  # of the budget, unused: what health may look like
_ENOUGH = 200.0  # stable requests, after which a quantile that none exceeded is out of sight
_LEAST = 0.1  # of the stable rate: a smaller budget cannot be told from noise, and is never ruled out


@dataclass(frozen=True)
class Budget:
    """What must be ruled out at a share: so many bad requests more, as a part of the candidate's own requests.

    `tightened` (at most 1) makes up for the noise between replicas.
    """

    errors: float
    tightened: float = 1.0


@dataclass(frozen=True)
class Cleared:
    """Evidence at T looks (natural logarithms at their peaks) that errors and latency keep their budgets: (T, ...)."""

    errors: Floats
    latency: Floats


class Health:
    """One share of traffic. Shapes as in harm, without its last axis: all replicas of the candidate together."""

    def __init__(self, budget: Budget, shape: tuple[int, ...] = (), quantiles: int = 3) -> None:
        self._budget = budget
        self._mixture = Mixture((*shape, 1 + quantiles), len(_ROOM), late=False)
        self._stable: Floats = np.zeros((2, *shape))
        self._above, self._beside = np.zeros((*shape, 1 + quantiles)), np.zeros(shape)

    def looks(self, counts: Counts, slow: Slow | None = None) -> Cleared:
        """Take looks in; `slow` are here those above the stable threshold times what is tolerated.

        Latency is cleared when neither half of the requests nor the slow tenth are slower than tolerated. The slowest
        hundredth would take ten times as long to clear; harm there is watched for all the same. A quantile in the
        slowest bucket of a coarse source can neither be cleared nor exceeded, and is left out.
        """
        requests, bad = counts.requests[..., 0], counts.bad[..., 0]
        told = np.zeros((len(requests), *self._mixture.value.shape, len(_ROOM)))
        told[..., 0, :] = self._weigh(requests, bad, self._failing(counts))
        if slow is None:
            above, beside = self._above[None], self._beside[None]
        else:
            stable = slow.stable_requests[..., None], slow.stable_slow
            told[..., 1:, :] = eprocess.exceedance(
                eprocess.FASTER, slow.requests[..., :1], slow.slow[..., 0, :], *stable
            )
            above = self._above + np.pad(slow.stable_slow, [(0, 0)] * (slow.stable_slow.ndim - 1) + [(1, 0)]).cumsum(0)
            beside = self._beside + slow.stable_requests.cumsum(0)
            self._above, self._beside = above[-1], beside[-1]
        _, peaks = self._mixture.looks(told)
        hidden = (above[..., 1:3] == 0) & (beside >= _ENOUGH)[..., None]
        return Cleared(peaks[..., 0], np.where(hidden, np.inf, peaks[..., 1:3]).min(axis=-1))

    def _failing(self, counts: Counts) -> Floats:
        """Tell how often the stable version failed before each look: (T, ...)."""
        told = np.stack([counts.stable_requests, counts.stable_bad], axis=1)
        *before, self._stable = accumulate(told, lambda stable, look: stable * _FADE + look, initial=self._stable)
        seen, failed = np.stack(before, axis=1)
        rates: Floats = np.divide(failed, seen, out=np.zeros_like(failed), where=seen > 0)
        return rates

    def _weigh(self, requests: Floats, bad: Floats, stable: Floats) -> Floats:
        """Weigh H0: the candidate fails at least as often as the stable version did so far, plus the budget."""
        limit = np.clip((stable + self._budget.errors) * self._budget.tightened, 1e-9, 0.5)
        room = limit - stable
        at = np.clip(limit[..., None] - room[..., None] * _ROOM, 1e-12, 0.5)  # above: no room, and nothing is weighed
        null, n, x = limit[..., None], requests[..., None], bad[..., None]
        told = x * np.log(at / null) + (n - x) * (np.log1p(-at) - np.log1p(-null))
        weighed: Floats = told * (room > _LEAST * stable)[..., None]
        return weighed
