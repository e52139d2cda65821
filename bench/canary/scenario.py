"""What canary traffic is like: one scenario, the weather that it runs in, and the fault that the candidate carries."""

from typing import Annotated

from pydantic import Field

from domain.value import Value

Rate = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Sd = Annotated[float, Field(ge=0)]

MEDIAN = 50.0  # ms; with the spread below the usual p99 is 321 ms
SPREAD = 0.8  # standard deviation of the logarithm of latency, where latency is lognormal
PARETO = 1.5  # index of the heavy tail where it is not: the mean is finite, the variance is not
SLOW_PATH = 0.05  # the part of requests that a fault in the tail hits


class Fault(Value):
    """What is wrong with the candidate, from the first look that begins at or after `onset` (seconds) on.

    `factor` multiplies the error rate that the weather gives; `errors` replaces it. `latency` multiplies every latency;
    `tail` multiplies those of 5 % of the requests. With `one_host` only the candidate's first host has the fault.
    """

    factor: Positive = 1.0
    errors: Rate | None = None
    latency: Positive = 1.0
    tail: Positive = 1.0
    one_host: bool = False
    onset: Annotated[float, Field(ge=0)] = 0.0


HEALTHY = Fault()


class Environment(Value):
    """How traffic, errors and latency move without anybody's fault; all of it at once, where it is not zero.

    Noise is AR(1), correlated 0.9 over 30 s, stationary, in logarithms: error rates and latencies are multiplied by its
    exponential, whose mean is above 1 by exp(sd²/2). `drift` is the amplitude of a sine of two hours with a phase of
    its own in each run: it multiplies traffic and errors by 1 ± drift, and latency by the 0.3rd power of that.
    """

    drift: Annotated[float, Field(ge=0, lt=1)] = 0.0
    common_errors: Sd = 0.0  # noise that both arms share
    common_latency: Sd = 0.0
    replica_errors: Sd = 0.0  # noise that each replica has for itself
    replica_latency: Sd = 0.0
    quiet: Positive = 1.0  # in the calibration hour the replicas' noise is divided by this
    burst: Sd = 0.0  # mean number of failing requests that one client sends at once, to one host
    burst_every: Positive = 120.0  # seconds between two bursts on average (Poisson); an arm gets them by its share
    bad_stable: Positive = 1.0  # the first stable host's errors, times this
    cron_errors: Positive = 1.0  # both arms' errors in the first 30 s of every ten minutes, times this
    cron_latency: Positive = 1.0
    pareto: bool = False  # latency has a power law for a tail


_DIURNAL = {"drift": 0.3, "common_errors": 0.3, "common_latency": 0.1}
_NOISY = {"replica_errors": 0.25, "replica_latency": 0.05}

ENVIRONMENTS = {
    "independent": Environment(),
    "diurnal": Environment(**_DIURNAL),
    "noisy": Environment(**_NOISY),
    "diurnal noisy": Environment(**_DIURNAL, **_NOISY),
    "misspecified": Environment(**_NOISY, quiet=2.0),
    "bursts": Environment(burst=20),
    "bad stable host": Environment(bad_stable=10),
    "cron": Environment(cron_errors=5, cron_latency=1.5),
    "pareto": Environment(pareto=True),
}


class Scenario(Value):
    """One kind of release: traffic, hosts, weather and fault. A look is `look` seconds long."""

    rps: Positive = 50.0
    share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    errors: Annotated[float, Field(gt=0, lt=1)] = 0.001
    candidates: Annotated[int, Field(ge=1)] = 2
    stables: Annotated[int, Field(ge=1)] = 18
    environment: Environment = Environment()
    fault: Fault = HEALTHY
    look: Annotated[int, Field(ge=1)] = 5

    def faulty(self, fault: Fault) -> "Scenario":
        """Give the same release with another fault."""
        return self.model_copy(update={"fault": fault})

    def healthy(self) -> "Scenario":
        """Give the same release without a fault."""
        return self.faulty(HEALTHY)

    def harmed(self) -> float:
        """Tell the error rate of a candidate host with the fault, in calm weather."""
        fault = self.fault
        return fault.errors if fault.errors is not None else min(1.0, self.errors * fault.factor)
