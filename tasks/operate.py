"""Run a service's own migration tool, in an image of that service, on its database or on a copy."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.errors import Rejected
from domain.ports import Workload
from domain.release.artifact import Artifact, CommandResult, Deployment
from domain.release.plan import Plan, Stage
from domain.schema.tool import REVISION, ToolSpec, words
from tasks.step import Warrant


@dataclass(frozen=True)
class ImageTool:
    """The tool in one image; `reference` leads to the database as a container reaches it."""

    spec: ToolSpec
    workload: Workload
    deployment: Deployment
    reference: str

    def run(self, line: str, *, database: str | None = None, revision: str = "", timeout: float) -> CommandResult:
        """Run one line on the database, or on another one of the same server.

        Raises Rejected when the time is up, and for a revision that reads as a reference: an image must not name the
        secret that it is given.
        """
        if revision.startswith("secret://"):
            raise Rejected("what its status printed reads as a reference to a secret", "have it print the revision")
        place = f"{self.reference}?database={database}" if database else self.reference
        given: Mapping[str, str] = {self.spec.variable: place} | ({REVISION: revision} if revision else {})
        deployment = self.deployment.model_copy(update={"config": {**self.deployment.config, **given}})
        return self.workload.run(deployment, words(line), timeout)


@dataclass(frozen=True)
class Tools:
    """The tool of the version to come, and that of the version that serves; None: there is no such version or tool."""

    new: ImageTool | None = None
    old: ImageTool | None = None


NO_TOOLS = Tools()
"""SQL files say how the schema changes."""


def tools_of(warrant: Warrant, plan: Plan, stage: Stage, artifact: Artifact, workload: Workload) -> Tools:
    """Get the tools ready where the images bring their own; NO_TOOLS where SQL files say how the schema changes."""
    spec = plan.schema_.tool if plan.schema_ else None
    reference = stage.database_inside or stage.database
    if spec is None or reference is None:
        return NO_TOOLS

    def in_image(deployment: Deployment) -> ImageTool:
        return ImageTool(spec, workload, deployment.model_copy(update={"token": warrant.token}), reference)

    new = in_image(plan.deployment(stage, artifact, warrant.release))
    return Tools(new=new, old=in_image(stage.previous.deployment) if stage.previous else None)
