"""The whole release as one frozen value: what is computed, shown, hashed, approved and executed."""

from typing import Literal

from pydantic import Field

from domain.canary.criteria import Criteria
from domain.canonical import sha256
from domain.environment.profile import Environment, Resources
from domain.release.artifact import Artifact, Commit, Deployment, Image
from domain.release.route import BasisPoints, Slot, other
from domain.release.service import BuildSpec, Check, Runtime, SchemaSpec, SuccessMetric
from domain.schema.impact import Impact
from domain.schema.migration import Migration
from domain.value import Value


class Request(Value):
    """What somebody asked for."""

    service: str
    ref: str
    environments: tuple[str, ...] = Field(min_length=1)
    requester: str
    reason: str = ""


class PolicyVerdict(Value):
    """One rule's answer; anything but `allow` stops the plan."""

    rule: str
    verdict: Literal["allow", "deny"]
    reason: str


class WayBack(Value):
    """How this stage is undone, plane by plane, and what would be lost."""

    traffic: str
    code: str
    config: str
    data: str


class Settled(Value):
    """What serves in an environment once a release or a rollback has finished there."""

    deployment: Deployment
    commit: str
    fingerprint: str | None = Field(default=None, description="schema fingerprint; None without a database")
    way: Literal["release", "rollback"] = "release"


class Stage(Value):
    """The release in one environment."""

    environment: str
    profile: Environment
    port: int
    slot: Slot
    ramp: tuple[BasisPoints, ...] = Field(description="the shares, in order; it bakes at the last one")
    start: str = Field(default="", description="why the ramp starts as it does; empty: as declared")
    judged: bool = Field(description="False: checks alone, because nothing serves here yet or no users are here")
    schema_steps: tuple[Migration, ...] = ()
    impacts: tuple[Impact, ...] = Field(default=(), description="what each schema step does, and what was found in it")
    config: dict[str, str] = {}
    checks: dict[str, Check] = {}
    database: str | None = Field(default=None, description="secret reference to the migrator's connection string")
    database_inside: str | None = Field(default=None, description="the same, as a container reaches it")
    previous: Settled | None = None
    way_back: WayBack

    @property
    def config_version(self) -> str:
        """Name the configuration by its content; 12 hex digits."""
        return sha256(self.config)[:12]


class Plan(Value):
    """Everything a release will do, and why it may."""

    format: Literal["interlock-plan/1"] = "interlock-plan/1"
    service: str
    version: str
    commit: Commit
    source_tag: str | None = None
    request: Request
    authors: tuple[str, ...] = ()
    changelog: tuple[str, ...] = ()
    build: BuildSpec
    build_checks: dict[str, Check] = {}
    repository: str
    runtime: Runtime
    schema_: SchemaSpec | None = Field(default=None, alias="schema")
    criteria: Criteria
    success: tuple[SuccessMetric, ...]
    stages: tuple[Stage, ...]
    verdicts: tuple[PolicyVerdict, ...] = ()

    @property
    def hash(self) -> str:
        """Name the plan: sha256 of its canonical JSON; a byte changed anywhere is another plan."""
        return sha256(self)

    def stage(self, environment: str) -> Stage:
        """Find the stage of an environment; KeyError when the plan has none."""
        return {stage.environment: stage for stage in self.stages}[environment]

    def trial(self, image: Image, published: Artifact | None = None) -> Deployment:
        """Describe a one-off run of the built image for checks of the build stage, usually before it is published."""
        unpublished = Artifact(repository=self.repository, version=self.version, digest=image.id, image=image.id)
        return Deployment(
            service=self.service,
            environment="build",
            release="build",
            version=self.version,
            slot="blue",
            artifact=published or unpublished,
            replicas=1,
            resources=Resources(cpus=1.0, memory="512m"),
            runtime=self.runtime,
            config={},
        )

    def deployment(self, stage: Stage, artifact: Artifact, release: str) -> Deployment:
        """Describe the replicas that a stage wants of an artifact."""
        return Deployment(
            service=self.service,
            environment=stage.environment,
            release=release,
            version=self.version,
            slot=stage.slot,
            artifact=artifact,
            replicas=stage.profile.replicas,
            resources=stage.profile.resources,
            runtime=self.runtime,
            config=stage.config,
        )


def free_slot(previous: Settled | None) -> Slot:
    """Pick the slot that does not serve."""
    return other(previous.deployment.slot) if previous else "blue"
