"""Release a service: plan, build, prove, publish; then environment by environment, each with its way back."""

from typing import Annotated
from uuid import uuid4

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from adapters.connect import Desk, connect
from domain.release.artifact import Artifact
from domain.release.plan import Plan, Request, Settled
from domain.release.route import other
from flows.chart import charted
from flows.gate import approve
from flows.hold import carried, held
from flows.proof import as_proven, drilled, proven
from flows.ramp import ramp
from flows.report import conclude, show
from flows.turn import turn
from flows.way_back import way_back_set
from tasks.admit import admit
from tasks.announce import announce
from tasks.back_up import back_up
from tasks.build import build
from tasks.check import check
from tasks.deploy import deploy
from tasks.migrate import migrate
from tasks.operate import tools_of
from tasks.prepare import prepare, refresh
from tasks.publish import publish
from tasks.record import begin, enter, remaining, settle
from tasks.retire import retire
from tasks.step import Warrant


@flow(name="release", flow_run_name="{service} {ref} → {to}")
def release(
    service: Annotated[str, Field(title="Service", description="a file in config/services")],
    ref: Annotated[str, Field(title="Git ref", description="branch, tag or commit")] = "main",
    to: Annotated[str, Field(title="Up to", description="the last environment; others come first")] = "production",
    requester: Annotated[
        str, Field(title="Requester", description="your name in people.yaml; you cannot approve")
    ] = "",
    reason: Annotated[str, Field(title="Reason", description="why now; it goes into the record")] = "",
    resume: Annotated[str, Field(title="Continue", description="id of an interrupted release; else empty")] = "",
) -> str:
    """Carry one commit from source to its last environment, or put everything back."""
    desk, run = connect(service), str(flow_run.get_id() or uuid4())
    wanted = Request(service=service, ref=ref, environments=(to,), requester=requester, reason=reason)
    admitted, request = admit(desk.journal, desk.leases, wanted, desk.environments, run, resume)
    with carried(admitted, desk, run) as warrant:
        with way_back_set(warrant, desk):
            plan = prepare(warrant, request, run, desk.service, desk.environments, desk.people, desk.ports)
            show(plan, warrant.release)
            announce(warrant, "started", plan, {}, desk.post, desk.ports)
            built = build(warrant, plan, desk.ports.source, desk.ports.builder, desk.ports.registry)
            for name, asked in plan.build_checks.items():
                check(warrant, name, asked, plan.trial(built.image, built.published), (), desk.ports)
            artifact = publish(warrant, plan, built.image, desk.ports.builder, desk.ports.registry)
            enter(warrant, "built")
        for stage in remaining(warrant, plan):
            plan = roll_out(warrant, plan, stage.environment, artifact, desk)
        return conclude(warrant, plan, artifact, desk)


def roll_out(warrant: Warrant, plan: Plan, environment: str, artifact: Artifact, desk: Desk) -> Plan:
    """One environment: wait, hold it, have it approved, change it, watch it, settle; returns the plan it followed."""
    ports, database = desk.ports, desk.ports.databases.get(environment)
    with (
        way_back_set(warrant, desk),
        turn(warrant, environment, desk),
        held(warrant, environment, desk, f"releasing {plan.version}") as inside,
        way_back_set(inside, desk),
    ):
        plan = refresh(inside, plan, environment, desk.service, desk.environments, desk.people, ports)
        stage = plan.stage(environment)
        drilled(inside, plan, stage, desk)
        proven(inside, plan, stage, artifact, desk)  # before anybody is asked
        here = approve(inside, plan, stage, artifact, desk)
        proof = proven(here, plan, stage, artifact, desk)  # again: an answer may take longer than a proof counts
        begin(here, stage)
        back_up(here, stage, database, ports.store)
        for item in stage.schema_steps:
            migrate(here, plan, item, database, tools_of(here, plan, stage, artifact, ports.workload))
        schema = as_proven(here, plan, proof, database)
        candidate = deploy(here, plan.deployment(stage, artifact, here.release), ports)
        for name, asked in stage.checks.items():
            check(here, name, asked, candidate.deployment, candidate.replicas, ports)
        with charted(here, plan, stage):
            route = ramp(here, plan, stage, candidate, artifact, desk)
        retire(here, route, other(stage.slot), plan.runtime.drain, plan.service, ports.router, ports.workload)
        settle(here, Settled(deployment=candidate.deployment, commit=plan.commit.sha, fingerprint=schema))
        enter(here, "settled")
        return plan
