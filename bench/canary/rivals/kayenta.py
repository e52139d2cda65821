"""Kayenta's NetflixACAJudge: a Mann-Whitney test over the points of two time series.

Source: spinnaker/kayenta @a69573b (2025-04-08), kayenta-mannwhitney/…/MannWhitney.scala and
kayenta-judge/…/MannWhitneyClassifier.scala; tolerance 0.25 and confidence 0.98 are hard-coded in NetflixACAJudge.scala.
"""

from typing import ClassVar

import numpy as np

from bench.canary.latency import BUCKETS, Floats
from bench.canary.rivals.rival import Bools, Scored, quantile
from bench.canary.world import Batch

CONFIDENCE_98 = 2.3263  # the normal quantile of 0.99: the interval is two-sided
TOLERANCE = 0.25
_WORTH_A_LOOK = 1.0  # no limit below this is ever of use, and the estimate is what costs


class Kayenta(Scored):
    """Roll back when a metric is High: the confidence interval of the shift lies above `tolerance` times its estimate.

    Every `step` seconds make a point of the series (error ratio of each arm); every `every` seconds all points are
    judged, or with `lookback` the last so many. Points without data are removed (nanStrategy). With the usual
    thresholds (pass 95, marginal 75) one High among up to three metrics of equal weight ends the analysis.
    Left out: outlier removal (off by default) and Low, which only matters where the direction is `either`.
    """

    metrics: ClassVar[tuple[str, ...]] = ("errors",)

    def __init__(
        self, runs: int, limit: float = CONFIDENCE_98, *, step: int = 30, every: int = 30, lookback: int | None = None
    ) -> None:
        super().__init__(limit)
        self._step, self._every, self._lookback = step, every, lookback
        self._points: list[Floats] = []  # each (metrics, 2 arms, R)
        self._counts = np.zeros((2, 2, runs), dtype=np.int64)
        self._latency = np.zeros((2, runs, BUCKETS if self.histograms else 0), dtype=np.int64)
        self._over: Bools = np.zeros(runs, dtype=bool)

    def score(self, batch: Batch) -> Floats:
        """Give each run's highest z against the tolerance; -inf where none is High at all or none is due."""
        score = np.full(self._over.shape, -np.inf)
        self._gather(batch)
        if batch.second % self._step == 0:
            self._points.append(self._point())
        if batch.second % self._every == 0 and len(self._points) > 1:
            points = np.stack(self._points[-self._lookback :] if self._lookback else self._points, axis=-1)
            going = np.flatnonzero(~self._over)
            for candidate, stable in points[:, :, going]:
                score[going] = np.maximum(score[going], highness(candidate, stable))
            self._over |= score >= self.limit  # nobody judges a release that was rolled back
        return score

    def _gather(self, batch: Batch) -> None:
        arms = (batch.candidate, batch.stable)
        self._counts += np.array([arm.total() for arm in arms])
        if self.histograms:
            self._latency += np.array([arm.latency() for arm in arms])

    def _point(self) -> Floats:
        requests, bad = self._counts[:, 0], self._counts[:, 1]
        values = {"errors": np.where(requests > 0, bad / np.maximum(requests, 1), np.nan)}
        if self.histograms:
            values |= {f"p{q}": np.array([quantile(arm, q / 100) for arm in self._latency]) for q in (50, 99)}
        self._counts[:] = 0
        self._latency[:] = 0
        return np.array([values[metric] for metric in self.metrics])


class KayentaOfThree(Kayenta):
    """Errors, p50 and p99 together, as a canary configuration usually has them."""

    histograms: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("errors", "p50", "p99")


def is_high(
    experiment: Floats, control: Floats, *, limit: float = CONFIDENCE_98, tolerance: float = TOLERANCE
) -> Bools:
    """Classify series (R, points) as the MannWhitneyClassifier does with direction `increase`; nan is no point."""
    return highness(experiment, control, tolerance=tolerance) >= limit


def highness(experiment: Floats, control: Floats, *, tolerance: float = TOLERANCE) -> Floats:
    """Give the normal quantile at which each row would just be High, or -inf where it is below 1 or never would.

    The interval's lower end lies above mu exactly when the statistic at mu exceeds the quantile, because the statistic
    falls with mu: no root has to be searched. The effect size must not contradict: the ratio of means is at least 1,
    or undefined because a mean is 0.
    """
    experiment = _untie(experiment, control)
    rank = statistic(experiment, control, np.zeros(len(experiment)))
    rows = np.flatnonzero(rank >= 0.8 * _WORTH_A_LOOK)  # ties may move the statistic a little as mu moves
    some, other = experiment[rows], control[rows]
    differences = (some[:, :, None] - other[:, None, :]).reshape(len(rows), some.shape[1] * other.shape[1])
    hodges_lehmann = _median(differences)
    z = statistic(some, other, tolerance * np.abs(hodges_lehmann))
    means = np.nansum(some, axis=1) / _points(some), np.nansum(other, axis=1) / _points(other)
    agrees = (means[0] >= means[1]) | (means[1] == 0)
    score = np.full(len(experiment), -np.inf)
    score[rows] = np.where(agrees & (z >= _WORTH_A_LOOK), z, -np.inf)
    return score


def statistic(x: Floats, y: Floats, mu: Floats) -> Floats:
    """Give the normal statistic of the rank sum of x - mu against y, row by row, with R's two corrections.

    As in R's wilcox.test: half a rank towards the middle, and the variance made smaller by ties; -inf without points.
    """
    values = np.concatenate([x - mu[:, None], y], axis=1)
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    begins = np.ones(values.shape, dtype=bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]  # nan differs from nan, and is sorted to the end
    group = np.cumsum(begins.ravel()) - 1
    size = np.bincount(group)
    row, first = np.divmod(np.flatnonzero(begins.ravel()), values.shape[1])
    ranks = (first + (size + 1) / 2)[group].reshape(values.shape)
    n, m = _points(x), _points(y)
    above = np.where((order < x.shape[1]) & ~np.isnan(ordered), ranks, 0).sum(axis=1) - n * (n + 1) / 2 - n * m / 2
    ties = np.bincount(row, weights=size.astype(float) ** 3 - size, minlength=len(values))
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = np.sqrt(n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1))))
        z = (above - 0.5 * np.sign(above)) / sigma
    return np.where(sigma > 0, z, -np.inf)


def _untie(experiment: Floats, control: Floats) -> Floats:
    """Break the ties of two constant series that differ, as Kayenta does with noise of 1e-5; equal ones stay equal."""
    with np.errstate(invalid="ignore"):
        constant = (np.ptp(experiment, axis=1) == 0) & (np.ptp(control, axis=1) == 0)
    apart = constant & (experiment[:, 0] != control[:, 0])
    untied: Floats = experiment + apart[:, None] * np.linspace(-1e-5, 1e-5, experiment.shape[1])
    return untied


def _points(series: Floats) -> Floats:
    points: Floats = (~np.isnan(series)).sum(axis=1).astype(np.float64)
    return points


def _median(rows: Floats) -> Floats:
    if not len(rows):
        return np.empty(0)
    median: Floats = np.nanmedian(rows, axis=1) if np.isnan(rows).any() else np.median(rows, axis=1)
    return median
