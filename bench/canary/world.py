"""Canary traffic by the batch: many independent runs side by side, reproducible from scenario, seed and run count.

Runs are rows. One batch is one look of all runs; arrays are (R, H), histograms (R, H, 290), with R runs and H hosts of
one arm. Requests are Poisson; each fails with its host's rate of that look. On one core of the machine that measured
results.md, errors alone cost about 0.2 µs per host and look; histograms add about 0.03 µs per request, or 15 µs per
host and look where it has 500 requests or more, and never less than 2.5 µs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.canary import latency
from bench.canary.latency import Floats, Ints
from bench.canary.scenario import HEALTHY, Environment, Fault, Scenario

HOUR = 3600
_PERIOD = 7200.0  # seconds of one swing of the drift: a day, compressed so that an hour feels it
_CORRELATION = 0.9 ** (1 / 30)  # of noise, from one second to the next
_CRON_EVERY, _CRON_LASTS = 600, 30  # seconds


@dataclass(frozen=True)
class Counts:
    """One arm in one look: requests and bad are (R, H), the histogram is (R, H, 290), or None when not asked for."""

    requests: Ints
    bad: Ints
    histogram: Ints | None = None

    def total(self) -> tuple[Ints, Ints]:
        """Sum over hosts: (requests, bad), each (R,)."""
        return self.requests.sum(axis=1), self.bad.sum(axis=1)

    def latency(self) -> Ints:
        """Sum the histograms over hosts: (R, 290)."""
        assert self.histogram is not None, "this world was made without histograms"
        summed: Ints = self.histogram.sum(axis=1)
        return summed


@dataclass(frozen=True)
class Batch:
    """One look of all runs: the `seconds` before `second`, counted from the start of the release (calibration: ≤ 0)."""

    second: int
    seconds: int
    candidate: Counts
    stable: Counts


class Noise:
    """AR(1) noise of variance 1, in its stationary state from the first look on."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int], look: int) -> None:
        self._rng = rng
        self._kept = _CORRELATION**look
        self._now = rng.standard_normal(shape)

    def step(self) -> Floats:
        """Go on by one look."""
        fresh = self._rng.standard_normal(self._now.shape)
        self._now = self._kept * self._now + np.sqrt(1 - self._kept**2) * fresh
        return self._now


class World:
    """`runs` releases of one scenario, each hour a stream of its own: drawn again it is the same.

    Errors and latency have streams of their own, too: counts are the same with histograms and without. The noise of the
    calibration hour is forgotten when the release begins; only the phase of the drift goes on.
    """

    def __init__(self, scenario: Scenario, seed: int, runs: int, *, histograms: bool = False) -> None:
        self.scenario, self.runs = scenario, runs
        self._seed, self._histograms = seed, histograms

    def calibration(self, seconds: int = HOUR) -> Iterator[Batch]:
        """Draw the time before the release: all traffic on the stable hosts, none on the candidate's."""
        environment = self.scenario.environment
        quieter = environment.model_copy(
            update={
                "replica_errors": environment.replica_errors / environment.quiet,
                "replica_latency": environment.replica_latency / environment.quiet,
            }
        )
        calm = self.scenario.model_copy(update={"environment": quieter, "fault": HEALTHY})
        yield from self._hour(calm, 0.0, (1, 2)).looks(-seconds, 0)

    def release(self, seconds: int = HOUR) -> Iterator[Batch]:
        """Draw the release: both arms side by side at the scenario's share."""
        yield from self._hour(self.scenario, self.scenario.share, (3, 4)).looks(0, seconds)

    def _hour(self, scenario: Scenario, share: float, streams: tuple[int, int]) -> "_Hour":
        phase = np.random.default_rng((self._seed, 0)).uniform(0, 2 * np.pi, (self.runs, 1))
        errors, latencies = (np.random.default_rng((self._seed, stream)) for stream in streams)
        return _Hour(scenario, share, phase, errors, latencies if self._histograms else None)


class _Hour:
    """One stretch of traffic under one share."""

    def __init__(
        self,
        scenario: Scenario,
        share: float,
        phase: Floats,
        errors: np.random.Generator,
        latencies: np.random.Generator | None,
    ) -> None:
        self._scenario, self._phase = scenario, phase
        self._errors, self._latencies = errors, latencies
        arms, runs = (scenario.candidates, scenario.stables), len(phase)
        self._split = np.repeat([share / arms[0], (1 - share) / arms[1]], arms)
        shapes = (runs, 1), (runs, sum(arms))
        self._error_noise = tuple(Noise(errors, shape, scenario.look) for shape in shapes)
        self._latency_noise = tuple(Noise(latencies, shape, scenario.look) for shape in shapes) if latencies else ()

    def looks(self, begin: int, end: int) -> Iterator[Batch]:
        for start in range(begin, end, self._scenario.look):
            yield self._look(start)

    def _look(self, start: int) -> Batch:
        scenario, look = self._scenario, self._scenario.look
        swing = 1 + scenario.environment.drift * np.sin(2 * np.pi * (start + look / 2) / _PERIOD + self._phase)
        expected = scenario.rps * look * swing * self._split
        fault = scenario.fault if start >= scenario.fault.onset else HEALTHY
        chance = self._chance(start, swing, fault)
        bad = self._errors.poisson(expected * chance)  # a Poisson stream split in two gives two independent ones
        good = self._errors.poisson(expected * (1 - chance))
        bad += self._bursts(bad.shape)
        requests = good + bad
        histogram = self._histogram(self._latencies, requests, start, swing, fault) if self._latencies else None
        at = scenario.candidates
        arms = (
            Counts(requests[:, part], bad[:, part], None if histogram is None else histogram[:, part])
            for part in (slice(None, at), slice(at, None))
        )
        return Batch(start + look, look, *arms)

    def _chance(self, start: int, swing: Floats, fault: Fault) -> Floats:
        environment, first = self._scenario.environment, self._scenario.candidates
        log = self._noise(self._error_noise, environment.common_errors, environment.replica_errors)
        chance = self._scenario.errors * swing * self._cron(start, environment.cron_errors) * np.exp(log)
        chance = np.broadcast_to(chance, (len(swing), len(self._split))).copy()
        chance[:, first] *= environment.bad_stable
        hit = chance[:, : 1 if fault.one_host else first]
        hit[:] = hit * fault.factor if fault.errors is None else fault.errors
        return np.minimum(chance, 1.0)

    def _histogram(self, rng: np.random.Generator, requests: Ints, start: int, swing: Floats, fault: Fault) -> Ints:
        environment = self._scenario.environment
        log = self._noise(self._latency_noise, environment.common_latency, environment.replica_latency)
        log = log + 0.3 * np.log(swing) + np.log(self._cron(start, environment.cron_latency))
        shift = np.broadcast_to(log, requests.shape).copy()
        tail = np.zeros(requests.shape)
        hit = slice(None, 1 if fault.one_host else self._scenario.candidates)
        shift[:, hit] += np.log(fault.latency)
        tail[:, hit] += np.log(fault.tail)
        return latency.draw(rng, requests, shift, tail, pareto=environment.pareto)

    def _noise(self, noises: tuple[Noise, ...], *sds: float) -> Floats:
        log = np.zeros_like(self._phase)
        for sd, noise in zip(sds, noises, strict=True):
            if sd:
                log = log + sd * noise.step()
        return log

    def _cron(self, start: int, factor: float) -> float:
        """Weigh a spike by the part of the look that it covers; a look longer than ten minutes sees one of them."""
        into = start % _CRON_EVERY
        covered = max(0, min(_CRON_LASTS, into + self._scenario.look) - into)
        covered += max(0, min(_CRON_LASTS, into + self._scenario.look - _CRON_EVERY))
        return 1 + (factor - 1) * min(1.0, covered / self._scenario.look)

    def _bursts(self, shape: tuple[int, ...]) -> Ints:
        """Let single clients retry: each burst meets one host, of the candidate with the chance of its share."""
        environment: Environment = self._scenario.environment
        more = np.zeros(shape, dtype=np.int64)
        if environment.burst:
            number = self._errors.poisson(self._scenario.look / environment.burst_every, shape[0])
            run = np.repeat(np.arange(shape[0]), number)
            host = self._errors.choice(shape[1], run.size, p=self._split)
            np.add.at(more, (run, host), self._errors.poisson(environment.burst, run.size))
        return more
