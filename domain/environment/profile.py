"""What an environment is: its size, its strictness, and what must stand before it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from domain.value import Name, Percent, Seconds, Value

Strategy = Literal["canary", "blue-green", "rolling"]
Evidence = Literal["traffic", "checks"]
OnBusy = Literal["queue", "refuse", "supersede"]


class Resources(Value):
    """What one replica may use."""

    cpus: float = Field(default=0.5, gt=0, description="CPU cores, fractions allowed")
    memory: str = Field(default="256m", pattern=r"^\d+[kmg]$", description="memory limit such as 256m")


class Rollout(Value):
    """How traffic reaches the candidate, and what lets it go on."""

    strategy: Strategy = Field(default="canary", description="canary, blue-green or rolling: three ramps, one flow")
    ramp: tuple[Percent, ...] = Field(default=(10, 50, 100), description="canary only: the shares, rising to 100")
    evidence: Evidence = Field(
        default="traffic",
        description="traffic: the judge must clear each share; checks: smoke checks alone (environments without users)",
    )
    start: Literal["declared", "auto"] = Field(
        default="declared",
        description="canary only. auto: the first share is chosen from the traffic that was last seen here",
    )
    at_least: Seconds = Field(default=0.0, description="shortest time at one share, however clear the evidence is")
    patience: Seconds = Field(default=1800.0, description="longest time at one share before the judge holds")
    bake: Seconds = Field(default=900.0, description="how long the promoted version is watched before it is stable")
    holdback: Annotated[int, Field(ge=0, le=20)] = Field(
        default=0, description="percent that stay on the old version during the bake, so that the comparison goes on"
    )

    @model_validator(mode="after")
    def _rises_to_everyone(self) -> Self:
        if list(self.ramp) != sorted(set(self.ramp)) or not self.ramp or self.ramp[-1] != 100 or self.ramp[0] == 0:
            raise ValueError("ramp must rise strictly and end at 100, such as [10, 50, 100]")
        return self

    def shares(self, replicas: int, *, judged: bool = True) -> tuple[int, ...]:
        """List the traffic shares in percent, in order, for this strategy and number of replicas.

        The version bakes at the last one: at what is not held back, where there is a judge to compare.
        """
        last = 100 - self.holdback if judged else 100
        return (*(share for share in self._walked(replicas) if share < last), last)

    def _walked(self, replicas: int) -> tuple[int, ...]:
        match self.strategy:
            case "canary":
                return self.ramp
            case "blue-green":
                return (100,)
            case "rolling":
                return tuple(round(100 * step / replicas) for step in range(1, replicas + 1))


class Environment(Value):
    """One row of the profile matrix: dev, staging, production …"""

    name: Name
    after: Name | None = Field(default=None, description="the environment a release must have passed; none: the first")
    replicas: int = Field(default=1, ge=1, le=50)
    resources: Resources = Resources()
    debug: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    external_apis: Literal["mocked", "sandbox", "live"] = "mocked"
    data: Literal["synthetic", "masked", "real"] = "synthetic"
    access: Literal["team", "company", "public"] = "team"
    sla: float | None = Field(default=None, ge=0, le=100, description="promised availability in percent")
    rollout: Rollout = Rollout()
    on_busy: OnBusy = Field(
        default="queue",
        description="what a release does that finds another one here. queue: waits its turn; refuse: stops; "
        "supersede: takes the place of an older one that has not touched traffic here, else waits",
    )
    seats: tuple[tuple[Name, ...], ...] = Field(
        default=(), description="approvals: each seat lists the roles that may fill it; one person fills one seat"
    )
    approval_expires: Seconds = Field(default=86400.0, description="how long the gate waits, and a signature counts")

    @model_validator(mode="after")
    def _production_is_strict(self) -> Self:
        if self.data == "real" and self.debug:
            raise ValueError("debug: must be false where data is real")
        return self
