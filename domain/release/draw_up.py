"""Draw up a plan: pure, from request, configuration, source and history."""

from collections.abc import Mapping, Sequence

from pydantic import Field

from domain.canary.budget import start
from domain.canary.criteria import Criteria
from domain.environment.profile import Environment
from domain.environment.topology import insist_on_order
from domain.errors import Invalid, Refused
from domain.policy.people import People
from domain.policy.rules import hold_against
from domain.release.artifact import Commit
from domain.release.plan import Plan, Request, Settled, Stage, WayBack, free_slot
from domain.release.service import Check, Placement, Service
from domain.release.version import name as name_version
from domain.schema.lint import lint
from domain.schema.migration import Applied, Migration, pending
from domain.schema.tool import steps_by_tool
from domain.value import Value


class SourceFacts(Value):
    """What the repository says about the commit."""

    commit: Commit
    tags: tuple[str, ...] = ()
    earlier_tags: tuple[str, ...] = ()
    changes: tuple[Commit, ...] = ()
    migrations: tuple[Migration, ...] = ()
    wanted: dict[str, str] = Field(default={}, description="what says which schema is wanted, where a tool migrates")


class History(Value):
    """What the ledger and the databases say about each environment."""

    settled: dict[str, Settled] = {}
    applied: dict[str, tuple[Applied, ...]] = {}
    passed: dict[str, frozenset[str]] = {}
    traffic: dict[str, float] = Field(default={}, description="requests/s that an environment was last seen to have")


def draw_up(
    request: Request,
    service: Service,
    environments: Mapping[str, Environment],
    people: People,
    source: SourceFacts,
    history: History,
    repository: str,
) -> Plan:
    """Compute the whole release.

    Raises Invalid for an environment the service has no placement in, Refused when criteria or success metrics are
    missing, a stage would be skipped, or migrations were tampered with. Policy verdicts are in the plan, not raised.
    """
    criteria = _insist_declared(service)
    for name in request.environments:
        if name not in service.environments:
            raise Invalid(
                f"services/{service.name}.yaml: environments.{name}: missing", "add port, config and database"
            )
    insist_on_order(request.environments, history.passed.get(source.commit.sha, frozenset()), environments)
    version, tag = name_version(source.tags, source.earlier_tags, service.source.tag_prefix, source.commit.sha)
    stages = tuple(_stage(service, environments[name], source, history) for name in request.environments)
    plan = Plan(
        service=service.name,
        version=version,
        commit=source.commit,
        source_tag=tag,
        request=request,
        authors=tuple(sorted({change.author for change in source.changes} | {source.commit.author})),
        changelog=tuple(change.subject for change in source.changes),
        build=service.build,
        build_checks={key: check for key, check in service.checks.items() if check.stage == "build"},
        repository=repository,
        runtime=service.runtime,
        schema=service.schema_,
        criteria=criteria,
        success=service.success,
        stages=stages,
    )
    return plan.model_copy(update={"verdicts": hold_against(plan, people)})


def _insist_declared(service: Service) -> Criteria:
    missing = []
    if service.criteria is None:
        missing.append(f"services/{service.name}.yaml: criteria: missing; say when a release must be rolled back")
    if not service.success:
        missing.append(f"services/{service.name}.yaml: success: missing; say what the release must reach")
    if missing or service.criteria is None:
        raise Refused("\n".join(missing), "a release without rollback criteria and success metrics is refused")
    return service.criteria


def _stage(service: Service, environment: Environment, source: SourceFacts, history: History) -> Stage:
    placement = service.environments[environment.name]
    previous = history.settled.get(environment.name)
    judged = previous is not None and environment.rollout.evidence == "traffic"
    shares = environment.rollout.shares(environment.replicas, judged=judged) if previous else (100,)
    ramp, why = _ramp(tuple(100 * it for it in shares), service, environment, judged, history)
    steps = _schema_steps(service, environment.name, source, history.applied.get(environment.name, ()))
    consumers = service.schema_.consumers if service.schema_ else ()
    return Stage(
        environment=environment.name,
        profile=environment,
        port=placement.port,
        slot=free_slot(previous),
        ramp=ramp,
        start=why,
        judged=judged,
        schema_steps=steps,
        impacts=tuple(lint(step, consumers) for step in steps),
        config=configuration(environment, placement),
        checks=_checks(service, environment.name),
        database=placement.database,
        database_inside=placement.database_inside or placement.database,
        previous=previous,
        way_back=_way_back(previous, steps),
    )


def _ramp(
    declared: tuple[int, ...], service: Service, environment: Environment, judged: bool, history: History
) -> tuple[tuple[int, ...], str]:
    """Let the ramp start where the traffic says; as declared where nobody asked for that, or none was seen."""
    rollout, rate = environment.rollout, history.traffic.get(environment.name, 0.0)
    if rollout.start != "auto" or rollout.strategy != "canary" or not judged:
        return declared, ""
    if not rate:
        return declared, "as declared: no traffic was seen here so far"
    first = start(rate, declared, rollout.patience, service.criteria or Criteria())
    return (*{first.share: None, **{it: None for it in declared if it > first.share}},), first.reason


def configuration(environment: Environment, placement: Placement) -> dict[str, str]:
    """List the variables a replica is started with: the profile's, and the service's own, which win."""
    return {
        "DEBUG": str(environment.debug).lower(),
        "LOG_LEVEL": environment.log_level,
        "EXTERNAL_APIS": environment.external_apis,
        **placement.config,
    }


def _schema_steps(
    service: Service, environment: str, source: SourceFacts, applied: Sequence[Applied]
) -> tuple[Migration, ...]:
    if service.schema_ is None or service.environments[environment].database is None:
        return ()
    if service.schema_.tool:
        return steps_by_tool(service.schema_.tool, source.wanted, applied)
    return pending(source.migrations, applied)


def _checks(service: Service, environment: str) -> dict[str, Check]:
    return {
        key: check
        for key, check in service.checks.items()
        if check.stage == "deploy" and (not check.environments or environment in check.environments)
    }


def _way_back(previous: Settled | None, steps: Sequence[Migration]) -> WayBack:
    if previous is None:
        return WayBack(
            traffic="close the route: nothing served here before",
            code="stop the candidate: nothing ran here before",
            config="goes with the replicas",
            data="the schema stays: expand steps hurt nobody" if steps else "no schema change",
        )
    old = previous.deployment
    if not steps:
        data = "no schema change"
    elif all(step.phase == "expand" for step in steps):
        data = f"the schema stays expanded, {old.version} runs on it: no row is lost"
    else:
        data = "the schema is not taken back automatically; down scripts are in the plan"
    return WayBack(
        traffic=f"one command gives slot {old.slot} all traffic",
        code=f"{old.version} keeps running until the bake is over, then starts again from {old.artifact.digest[:19]}",
        config=f"{old.version}'s own configuration goes with its replicas",
        data=data,
    )
