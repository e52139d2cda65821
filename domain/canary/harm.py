"""Evidence of harm: every way a candidate is compared with the stable version, with and without each of its replicas.

Shapes: (T, ..., V) where T are looks and V = 1 + candidate replicas. Entry 0 counts all of them, entry v leaves replica
v out. The least of the ones that leave somebody out is evidence against the version also when any one replica is
broken; where only entry 0 crosses, the harm is one replica's.
"""

import math
from dataclasses import dataclass

import numpy as np

from domain.canary import eprocess
from domain.canary.eprocess import Bools, Floats, Mixture, running_peak

REST = math.log(1 / 0.1)
"""What the others must show, too, before harm is the version's and not one replica's: then at most one broken replica
in ten sends a good version back. It is less than is asked of all together, because it is asked on top."""
_HEARD = 0.2  # of all requests: what one of five equal replicas gets


@dataclass(frozen=True)
class Slow:
    """Requests whose latency is judged, and how many of them are slow: (T, ..., V) and (T, ..., V, Q).

    The stable version's are (T, ...) and (T, ..., Q); Q runs over quantiles. Warm-up keeps new replicas out. Looks at
    which nobody knew yet what is slow count nothing; `known`, (T, ..., 1), tells them apart.
    """

    requests: Floats
    slow: Floats
    stable_requests: Floats
    stable_slow: Floats
    known: Bools


@dataclass(frozen=True)
class Counts:
    """T looks: requests and bad ones of the candidate (T, ..., V), and of the stable version (T, ...)."""

    requests: Floats
    bad: Floats
    stable_requests: Floats
    stable_bad: Floats


@dataclass(frozen=True)
class Shown:
    """What T looks have shown: evidence (natural logarithms at their peaks), and requests so far; each (T, ..., V)."""

    errors: Floats
    latency: Floats
    requests: Floats

    def crosses(self, evidence: Floats, needed: float) -> Bools:
        """Tell where one of them is enough against the version: of all replicas, and whichever is left out.

        Where what is left has hardly any requests it can say nothing, and is not asked.
        """
        heard = self.requests[..., 1:] >= _HEARD * self.requests[..., :1]
        rest = np.where(heard, evidence[..., 1:], np.inf).min(axis=-1, initial=np.inf)
        result: Bools = (evidence[..., 0] >= needed) & (rest >= min(REST, needed))
        return result


@dataclass(frozen=True)
class Margins:
    """What is tolerated, after calibration: a ratio of error rates, and an absolute rate below which none counts.

    The ratio may be (..., 1), one for each of what is tested side by side.
    """

    ratio: float | Floats
    floor: float


class Harm:
    """Runs through a whole release; evidence is kept as natural logarithms, its running peak is what may cross.

    One mixture holds every test as a row, (..., 2 + Q, V): the ratio, the floor, and one row for each quantile.
    """

    def __init__(self, margins: Margins, shape: tuple[int, ...] = (), quantiles: int = 3) -> None:
        self._margins, self._quantiles = margins, quantiles
        self._mixture = Mixture((*shape, 2 + quantiles, 1), len(eprocess.WORSE))
        self._errors, self._latency, self._requests = (np.zeros((*shape, 1)) for _ in range(3))

    @property
    def replicas(self) -> int:
        """Tell how many replicas of the candidate there are."""
        return int(self._errors.shape[-1]) - 1

    def join(self) -> None:
        """Take one more replica in; what leaves it out is so far what counts all."""
        self._mixture.grow(axis=self._mixture.value.ndim - 1)
        self._errors, self._latency, self._requests = (
            np.append(it, it[..., :1], axis=-1) for it in (self._errors, self._latency, self._requests)
        )

    def excuse(self, replica: int) -> None:
        """Forget what one replica alone did: all evidence goes on from what leaves it out."""
        self._mixture.take(1 + replica, axis=self._mixture.value.ndim - 1)
        self._errors, self._latency, self._requests = (
            eprocess.like(it, 1 + replica, axis=-1) for it in (self._errors, self._latency, self._requests)
        )

    def looks(self, counts: Counts, slow: Slow | None = None, *, alone: bool = False) -> Shown:
        """Take looks in. `alone`: there is no stable version, and only the floor says what harm is.

        Errors count where both tests cross, the ratio's and the floor's: an intersection of two nulls needs no split
        of alpha. Latency is the mean of the e-processes of all quantiles, which is one again.
        """
        values, _ = self._mixture.looks(self._told(counts, slow, alone))
        both = values[..., 1, :] if alone else values[..., :2, :].min(axis=-2)
        errors = running_peak(self._errors, both)
        mean = np.logaddexp.reduce(values[..., 2:, :], axis=-2) - math.log(self._quantiles)
        latency = running_peak(self._latency, np.where(slow.known if slow is not None else False, mean, -np.inf))
        requests = np.cumsum(np.concatenate([self._requests[None], counts.requests]), axis=0)[1:]
        self._errors, self._latency, self._requests = errors[-1], latency[-1], requests[-1]
        return Shown(errors, latency, requests)

    def _told(self, counts: Counts, slow: Slow | None, alone: bool) -> Floats:
        """Weigh every test of every look: (T, ..., 2 + Q, V, alternatives)."""
        margins, requests, bad = self._margins, counts.requests, counts.bad
        told = np.zeros((len(requests), *self._mixture.value.shape, len(eprocess.WORSE)))
        if not alone:
            stable = counts.stable_requests[..., None], counts.stable_bad[..., None]
            told[..., 0, :, :] = eprocess.ratio(eprocess.WORSE, margins.ratio, requests, bad, *stable)
        told[..., 1, :, :] = eprocess.level(eprocess.HIGHER, margins.floor, requests, bad)
        if slow is not None:
            stable = slow.stable_requests[..., None, None], slow.stable_slow[..., :, None]
            seen, above = slow.requests[..., None, :], np.swapaxes(slow.slow, -1, -2)
            told[..., 2:, :, :] = eprocess.exceedance(eprocess.SLOWER, seen, above, *stable)
        return told
