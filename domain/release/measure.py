"""What a service declares about how it is measured."""

from typing import Annotated, Literal

from pydantic import Field

from domain.value import Name, Seconds, Value

Url = Annotated[str, Field(pattern=r"^https?://\S+$", description="a URL that starts with http:// or https://")]
SecretReference = Annotated[
    str, Field(pattern=r"^secret://[a-z0-9-]+/\S+$", description="a secret://… reference, never a value")
]


class TickFeedSpec(Value):
    """Ticks that another program serves as JSON."""

    kind: Literal["ticks"]
    url: Url
    token: SecretReference | None = Field(default=None, description="sent as a bearer's")
    silence: Seconds = Field(default=4.0, gt=0, description="this long without a new tick is told")


class PrometheusSpec(Value):
    """Counters and classic histograms in Prometheus. Every selector names plain series: no function, no sum."""

    kind: Literal["prometheus"]
    url: Url
    token: SecretReference | None = None
    requests: str = Field(description="selector of the counters of all requests")
    bad: str = Field(description="selector of the counters of failed requests")
    latency: str | None = Field(
        default=None, description="selector of a classic histogram's _bucket series, in seconds"
    )
    gauges: dict[Name, str] = {}
    kpi: dict[Name, str] = {}
    up: str = Field(default="up", description="selector that tells which replicas were scraped, and when")
    arm: str | None = Field(default=None, description="label with slot, version or release; none: the replica tells")
    replica: str = Field(default="instance", description="label with the replica's name or address:port")
    interval: Seconds = Field(default=15.0, gt=0, description="how often Prometheus scrapes")


class CloudWatchMetric(Value):
    """One metric, found by its dimensions; `$slot`, `$version` and `$release` in them stand for each arm's own."""

    namespace: str
    metric: str
    dimensions: dict[str, str] = {}
    stat: str = Field(default="Sum", description="for latency a statistic such as p99")
    search: bool = Field(default=False, description="also metrics with more dimensions than these, added up")


class CloudWatchSpec(Value):
    """Sums in CloudWatch, arm by arm. It has no histograms: a latency statistic is a gauge, and is not judged."""

    kind: Literal["cloudwatch"]
    region: str
    endpoint: Url | None = Field(default=None, description="none: AWS itself")
    requests: CloudWatchMetric
    bad: CloudWatchMetric
    latency: CloudWatchMetric | None = None
    period: Literal[1, 5, 10, 30, 60] = Field(
        default=60, description="seconds; below 60 for high-resolution metrics only"
    )


class SqlKpiSpec(Value):
    """A query that gives (who, running total) rows; who is a version, release, slot or replica."""

    query: str
    database: SecretReference | None = Field(
        default=None, description="none: the placement's; a role that may only read is better"
    )
    every: Seconds = Field(default=5.0, ge=1)


Traffic = Annotated[TickFeedSpec | PrometheusSpec | CloudWatchSpec, Field(discriminator="kind")]


class Measure(Value):
    """Where a canary's measurements come from, besides or instead of the router's log."""

    traffic: Traffic | None = Field(default=None, description="none: the router's own log")
    gauges: Literal["docker"] | None = Field(default=None, description="cpu and memory of each replica")
    kpi: dict[Name, SqlKpiSpec] = {}
