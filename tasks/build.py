"""Turn the plan's commit into an image, once."""

from domain.errors import Refused
from domain.ports import Builder, Registry, Source
from domain.release.artifact import Image, Recipe
from domain.release.outcomes import Built
from domain.release.plan import Plan
from tasks.step import Warrant, step


def already_built(warrant: Warrant, plan: Plan, source: Source, builder: Builder, registry: Registry) -> Built | None:
    """Find the image an interrupted build left on the engine."""
    image = builder.find(_labels(warrant, plan))
    return Built(image=image) if image else None


@step(Built, observe=already_built)
def build(warrant: Warrant, plan: Plan, source: Source, builder: Builder, registry: Registry) -> Built:
    """Build the image from exactly the plan's commit; a version that is published already is never built again.

    Raises Refused when the published version came from another commit, Rejected when the build fails.
    """
    if published := registry.resolve(plan.repository, plan.version):
        if published.commit != plan.commit.sha:
            raise Refused(
                f"{plan.repository}:{plan.version} was built from {published.commit[:12]}, not {plan.commit.sha[:12]}",
                "a published version never changes: tag this commit with the next version",
            )
        return Built(image=Image(id=published.image), published=published)
    recipe = Recipe(
        service=plan.service,
        version=plan.version,
        commit=plan.commit.sha,
        dockerfile=plan.build.dockerfile,
        args=plan.build.args,
        labels=_labels(warrant, plan),
        timeout=plan.build.timeout,
    )
    return Built(image=builder.build(recipe, source.archive(plan.commit.sha)))


def _labels(warrant: Warrant, plan: Plan) -> dict[str, str]:
    return {
        "interlock.build": warrant.release,
        "interlock.service": plan.service,
        "interlock.version": plan.version,
        "interlock.commit": plan.commit.sha,
        "interlock.tag": plan.source_tag or "",
    }
