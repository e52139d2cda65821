"""A schema moves only when its way back was walked on a copy, and as long as that counts."""

from adapters.connect import Desk
from domain.errors import Conflict, Refused
from domain.ports import Database
from domain.release.artifact import Artifact
from domain.release.plan import Plan, Stage
from domain.release.recall import entered, plan_of, proofs_of, walks_of
from domain.schema import told
from domain.schema.proof import FRESH, Proven, overgrown, stale
from flows.report import artifact_key, put
from tasks.ask_invariants import insist_kept, insist_unbroken
from tasks.migrate import inspect
from tasks.operate import tools_of
from tasks.prove import prove, subject_now, way_of
from tasks.step import Warrant


def proven(warrant: Warrant, plan: Plan, stage: Stage, artifact: Artifact, desk: Desk) -> Proven | None:
    """Have the way back proven, by a proof that still counts or by a new one; None where no schema changes.

    Once the environment is being changed the proof that it began with stands. Raises Rejected with every reason why
    the way back does not hold, Conflict when the schema drifted, Refused when an invariant is broken already.
    """
    ports, database = desk.ports, desk.ports.databases.get(stage.environment)
    if database is None or not stage.schema_steps:
        return None
    kinds = ("done", "entered")
    entries = desk.journal.entries(service=warrant.service, environment=stage.environment, kinds=kinds)
    known = proofs_of(entries)
    if entered([e for e in entries if e.release == warrant.release], "deploying", stage.environment):
        return known[-1] if known else None
    way = way_of(plan, stage, artifact, ports.source)
    inspect(warrant, database)
    insist_unbroken(warrant, plan, database)
    expires = plan.schema_.proof_expires if plan.schema_ else FRESH
    if known and stale(known[-1], subject_now(way, database), ports.clock.now(), expires) is None:
        return known[-1]
    tools = tools_of(warrant, plan, stage, artifact, ports.workload)
    found = prove(warrant, way, len(known), database, ports.store, ports.clock, tools)
    words = f"Proof of the way back in {stage.environment}"
    put(told.markdown(stage.environment, found), artifact_key(f"proof-{stage.environment}", warrant.release), words)
    return found


def proof_shown(warrant: Warrant, stage: Stage, desk: Desk) -> str:
    """Render the proof that counts for whoever is asked; empty where no schema changes."""
    done = desk.journal.entries(service=warrant.service, environment=stage.environment, kinds=("done",))
    proofs = proofs_of(done) if stage.schema_steps else []
    return f"\n{told.markdown(stage.environment, proofs[-1])}" if proofs else ""


def drilled(warrant: Warrant, plan: Plan, stage: Stage, desk: Desk) -> None:
    """Let nobody go on from a version whose own way back, over a schema, was not walked for long; raises Refused.

    Whoever has been let in stays in: while people are waited for, the environment is held, and no drill gets there.
    """
    entries = desk.journal.entries(service=warrant.service, environment=stage.environment, kinds=("done", "entered"))
    walked = walks_of(entries)
    inside = [entry for entry in entries if entry.release == warrant.release]
    if not (stage.previous and plan.schema_ and walked) or inside:
        return
    there = plan_of(desk.journal.entries(release=stage.previous.deployment.release, kinds=("planned",)))
    back = there.stage(stage.environment) if there else None
    why = overgrown(walked[-1].at, desk.ports.clock.now(), plan.schema_.drill_expires)
    if why and there and back and back.previous and back.schema_steps:  # a first release leads back to nothing
        raise Refused(
            f"the way back of {there.version}, which serves in {stage.environment}, {why}",
            f"`interlock drill {warrant.service} {stage.environment}` walks it on a copy, as its schedule does",
        )


def as_proven(warrant: Warrant, plan: Plan, proof: Proven | None, database: Database | None) -> str | None:
    """Return the schema's fingerprint after the steps.

    Raises Conflict when the proof led to another schema, Rejected when the rows break an invariant.
    """
    seen = inspect(warrant, database)
    if proof and seen and not seen.startswith(proof.after):
        raise Conflict(
            f"{warrant.environment}: the schema is not the one that was proven "
            f"({seen[:12]}, expected {proof.after[:12]})",
            "something else changed it meanwhile: compare it with the proof in the store",
        )
    if proof and database:
        insist_kept(warrant, plan, database)
    return seen
