"""What a service is: where it comes from, how it is built, run, checked and judged."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from domain.canary.criteria import Criteria
from domain.release.measure import Measure
from domain.schema.consumer import Consumer
from domain.schema.invariant import Question
from domain.schema.proof import FRESH, WALKED
from domain.schema.tool import ToolSpec
from domain.value import Name, Seconds, Value


class SourceSpec(Value):
    """Where the code lives."""

    repository: str = Field(description="URL, absolute path, or a name inside the sources folder")
    branch: str = "main"
    tag_prefix: str = "v"


class BuildSpec(Value):
    """How the image is made."""

    dockerfile: str = "Dockerfile"
    args: dict[str, str] = Field(default_factory=dict, description="build arguments, such as BASE")
    timeout: Seconds = 600.0


class Runtime(Value):
    """How a replica runs."""

    port: int = Field(default=8080, ge=1, le=65535)
    health: str = Field(default="/healthz", pattern="^/")
    ready_within: Seconds = 30.0
    logs_within: Seconds = Field(default=10.0, description="a replica whose log stays empty this long is not ready")
    drain: Seconds = Field(default=10.0, description="longest wait for requests in flight before a replica stops")


class SchemaSpec(Value):
    """Where the migrations are, and how patient they may be."""

    migrations: str = Field(
        default="db/migrations", description="folder; with a tool: what says which schema is wanted"
    )
    tool: ToolSpec | None = Field(default=None, description="the image's own migration tool, instead of SQL files")
    lock_timeout: Seconds = 0.05
    lock_budget: Seconds = Field(default=30.0, description="total time to try for locks before failing clean")
    proof_expires: Seconds = Field(default=FRESH, gt=0, description="how long a proof of the way back counts")
    drill_expires: Seconds = Field(default=WALKED, gt=0, description="how long a drill of what serves counts")
    consumers: tuple[Consumer, ...] = Field(default=(), description="who reads the tables from outside the service")
    invariants: dict[Name, Question] = Field(default={}, description="queries of the rows that break what must be true")
    invariant_timeout: Seconds = Field(default=60.0, gt=0, description="how long one of them may take")


class HttpStep(Value):
    """One request of a journey and what must come back."""

    method: Literal["GET", "POST", "PUT", "DELETE"] = "GET"
    path: str = Field(pattern="^/")
    body: str | None = Field(default=None, description="sent as application/json")
    status: int = 200
    contains: str | None = None
    within: Seconds = 5.0


class CommandCheck(Value):
    """A command run in the built image on the environment's network; its exit code and output are the result."""

    kind: Literal["command"]
    stage: Literal["build", "deploy"] = "build"
    command: tuple[str, ...] = Field(min_length=1)
    timeout: Seconds = 300.0
    environments: tuple[Name, ...] = Field(default=(), description="deploy stage only; empty: everywhere")


class JourneyCheck(Value):
    """HTTP requests in order against every candidate replica."""

    kind: Literal["http"]
    stage: Literal["deploy"] = "deploy"
    steps: tuple[HttpStep, ...] = Field(min_length=1)
    environments: tuple[Name, ...] = ()


Check = Annotated[CommandCheck | JourneyCheck, Field(discriminator="kind")]


class SuccessMetric(Value):
    """What the release must reach to count as a success."""

    name: str
    measure: Literal["success_ratio", "p50_ms", "p99_ms"]
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _has_a_target(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give exactly one of at_least and at_most")
        return self


class Placement(Value):
    """A service in one environment."""

    port: int = Field(ge=1024, le=55535, description="where users reach it through the router")
    config: dict[str, str] = Field(default_factory=dict, description="values; secrets as secret://… references")
    database: str | None = Field(default=None, description="secret reference to the migrator's connection string")
    database_inside: str | None = Field(
        default=None, description="the same for a container, where it reaches the server by another address"
    )
    measure: Measure | None = Field(default=None, description="none: by the router's log alone")


class Service(Value):
    """Everything Interlock knows about a service before it looks at its code."""

    name: Name
    owner: Name = Field(description="the person or team that answers for it")
    source: SourceSpec
    build: BuildSpec = BuildSpec()
    runtime: Runtime = Runtime()
    schema_: SchemaSpec | None = Field(default=None, alias="schema")
    checks: dict[Name, Check] = Field(default_factory=dict)
    criteria: Criteria | None = Field(default=None, description="rollback criteria: a release without them is refused")
    success: tuple[SuccessMetric, ...] = Field(default=(), description="a release without success metrics is refused")
    needs: tuple[Name, ...] = Field(default=(), description="services that a train releases before this one")
    environments: dict[Name, Placement] = Field(min_length=1)
