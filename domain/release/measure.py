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
    silence: Seconds = Field(default=3.5, gt=0, description="this long without a new tick is told")


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
