"""What a service asks of the judge: when to go back, what must be ruled out before more traffic follows."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from domain.value import Seconds, Value

Margin = Annotated[float, Field(gt=0, le=10)]


class Latency(Value):
    """How much slower a candidate may be. Margins are rounded up to whole histogram buckets of 4.9 %."""

    margin: Margin = Field(
        default=0.05, description="roll back when shown to be slower than the stable version by this"
    )
    budget: Margin = Field(default=0.25, description="more traffic follows when slower by this is ruled out, at 100 %")


class Kpi(Value):
    """What the business counts, such as orders; it must not drop."""

    margin: float = Field(default=0.03, gt=0, lt=1, description="roll back when shown to drop by more than this part")


class Gauge(Value):
    """A level, such as memory; it must not rise."""

    margin: Margin = Field(default=0.15, description="a rise above the stable version's median that counts …")
    often: float = Field(default=0.1, gt=0, lt=1, description="… when it is seen in more than this part of the looks")


class Objective(Value):
    """What the service promises whoever asks, and how its error budget is watched while a version is new."""

    success: float = Field(gt=0, lt=100, description="percent of requests that must succeed, such as 99.9")
    window: Seconds = Field(
        default=900.0, gt=0, description="the longest window of the burn guard; the others are parts of it"
    )
    at_least: int = Field(default=10, ge=1, description="failures in a window, below which nothing counts as burning")


class Season(Value):
    """A bake is held against the service's own past, by its minutes; with a holdback there is no need to."""

    bake: Seconds = Field(default=900.0, ge=60, description="length of a placebo bake: that of the bakes of the past")
    alpha: float = Field(
        default=0.01, gt=0, lt=0.5, description="chance to stop a good bake; more than 1 / alpha good ones are needed"
    )


class Criteria(Value):
    """When the judge rolls back, and what it must exclude before more traffic follows."""

    error_ratio: float = Field(
        default=1.25, ge=1, description="roll back above this multiple of the stable error rate …"
    )
    error_floor: float = Field(default=0.002, gt=0, lt=1, description="… and above this absolute error rate")
    alpha: float = Field(default=0.01, gt=0, lt=0.5, description="chance to roll back a good release, over all looks")
    harm_budget: float = Field(default=0.002, gt=0, lt=1, description="failures tolerated, as a share of all traffic")
    beta: float = Field(default=0.05, gt=0, lt=0.5, description="chance to let harm above the budget pass a step")
    latency: Latency | None = Field(default=Latency(), description="null: latency is measured and not judged")
    kpis: dict[str, Kpi] = Field(default={}, description="counts that must not drop, by the name the source gives them")
    gauges: dict[str, Gauge] = Field(default={}, description="levels that must not rise, by the name the source gives")
    failures: int | None = Field(
        default=None,
        ge=1,
        description="failed requests a release may cost beyond the stable version's rate; then back, however weak the "
        "evidence",
    )
    objective: Objective | None = Field(
        default=None, description="roll back as well when the error budget burns too fast, whatever both versions do"
    )
    season: Season | None = Field(
        default=None, description="hold the failures of a bake against what is usual at that time; needs a long past"
    )
    warm_up: Seconds = Field(
        default=60.0, ge=0, description="a new replica's latency and gauges do not count for this long; errors do"
    )
    share_margin: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="part by which the candidate's traffic may differ from its share; sticky users come in lumps",
    )
    spread: float | None = Field(
        default=None,
        ge=0,
        le=3,
        description="standard deviation between healthy replicas' log error rates; null: measured, or 0.25",
    )

    @model_validator(mode="after")
    def _can_promote(self) -> Self:
        if self.harm_budget >= 0.5:
            raise ValueError("harm_budget: more than half of all requests may fail; say what is really tolerated")
        return self
