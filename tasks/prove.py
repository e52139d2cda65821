"""Prove the way back of a schema change on a copy of the database: nothing that counts is touched."""

from tempfile import TemporaryFile

from domain.errors import Rejected
from domain.ports import Clock, Database, Source, Store
from domain.release.artifact import Artifact
from domain.release.plan import Plan, Stage
from domain.release.service import SchemaSpec
from domain.schema.migration import SMOKE
from domain.schema.proof import Proof, Proven, Subject, kept, subject_of
from domain.schema.proof import prove as judge
from domain.schema.rehearsal import WayBack
from domain.schema.tool import way_by_tool
from tasks.operate import NO_TOOLS, Tools
from tasks.rehearse import rehearse
from tasks.rehearse_by_tool import rehearse_by_tool
from tasks.step import Warrant, note, step


@step(Proven, timeout=3600)
def prove(
    warrant: Warrant,
    way: WayBack,
    number: int,
    database: Database,
    store: Store,
    clock: Clock,
    tools: Tools = NO_TOOLS,
) -> Proven:
    """Walk the way there and back on a copy, as the proof of that number; the whole proof goes into the store.

    Raises Rejected with every reason why the way back does not hold.
    """
    return keep(warrant, on_a_copy(database, way, clock.now(), tools=tools), f"proof-{number + 1}", store)


def keep(warrant: Warrant, proof: Proof, name: str, store: Store) -> Proven:
    """Put the whole proof into the store, and return what a release needs of it; raises Rejected when it says no."""
    key = f"evidence/{warrant.release}/{warrant.environment}/{name}-{proof.hash[:12]}.json"
    store.put(key, [proof.model_dump_json(indent=1).encode()])
    if not proof.holds:
        told = "\n".join(f"- {problem.says}" for problem in proof.problems)
        raise Rejected(
            f"{warrant.environment}: the way back of the schema does not hold; nothing was changed\n{told}",
            f"mend the migration or its down script; all that was seen is in the store under {key}",
        )
    return kept(proof, key)


def on_a_copy(database: Database, way: WayBack, at: float, *, applied: bool = False, tools: Tools = NO_TOOLS) -> Proof:
    """Restore a dump of what is there now beside it, rehearse there, and judge.

    `at` in seconds since the epoch; `applied`: the steps are there already, and are taken back first.
    """
    with TemporaryFile() as dump:
        backup = database.backup(dump)
        dump.seek(0)
        with database.clone(dump, backup) as clone:
            by_tool = tools != NO_TOOLS
            rehearsal = rehearse_by_tool(clone, way, tools) if by_tool else rehearse(clone, way, applied=applied)
    return judge(way, rehearsal, subject_of(way, backup.fingerprint, backup.server), at)


@note
def way_of(plan: Plan, stage: Stage, artifact: Artifact, source: Source) -> WayBack:
    """Read what is to be tried: the stage's steps, and the statements of the version there and of the one to come.

    `artifact` is the one to come; where images bring their own tool, their own smoke test takes the statements' place.
    """
    spec = plan.schema_ or SchemaSpec(migrations="")
    if spec.tool:
        there = stage.previous.deployment.artifact.digest if stage.previous else None
        way = way_by_tool(spec.tool, stage.schema_steps, there, artifact.digest)
    else:
        old = source.files(stage.previous.commit, spec.migrations).get(SMOKE, "") if stage.previous else None
        way = WayBack(steps=stage.schema_steps, old=old, new=source.files(plan.commit.sha, spec.migrations).get(SMOKE))
    return way.model_copy(update={"invariants": spec.invariants, "invariant_timeout": spec.invariant_timeout})


@note
def subject_now(way: WayBack, database: Database) -> Subject:
    """Say what a proof must be about to count now."""
    return subject_of(way, database.fingerprint(), database.server())
