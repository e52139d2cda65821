"""One fault: set the stage, let it happen, wait until all is quiet, and hold what is found against the invariants."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial

import httpx

from bench.chaos import faults, strike, world
from bench.chaos.faults import Fault
from bench.chaos.invariants import Candidate, Evidence, broken
from bench.chaos.scene import PLACE, PORT, REQUESTER, SHOP, TTL, Scene
from bench.chaos.versions import BAD, KNOWN, Made
from bench.chaos.watch import Watch, patiently
from bench.chaos.world import OVER, ROUTE, Row, World
from bench.traffic import Event, Load, Report
from cli import runs
from domain.canary.replay import replay
from domain.chain import verify
from domain.errors import ReleaseError
from domain.release.recall import plan_of
from examples.demo import mix
from ledger.checkpoint import latest
from tasks.judge import judge_of

RATE = 30.0  # requests per second
PATIENCE = 240.0  # seconds until everything must have come to rest
_REACHED = 90.0  # seconds in which a flow comes by its point
_AGAIN = 33  # looks at a world that may still be healing: restarts; a scratch database lives for two sweeps at most
_BETWEEN = 4.0  # seconds between them


@dataclass
class Outcome:
    """What became of one fault; seconds count from the fault."""

    name: str
    hit: bool = False
    wrong: list[str] = field(default_factory=list)
    ended: str = ""
    seconds: float = 0.0
    noticed_after: float | None = None
    rest_after: float | None = None
    requests: int = 0
    failed: int = 0
    created_again: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Tell whether it happened, and everything held."""
        return self.hit and not self.wrong

    def data(self) -> dict[str, object]:
        """Put it into plain JSON."""
        return asdict(self)


@dataclass
class Stage:
    """What is set up before a fault: what serves, what will be tried, and where the journal ends."""

    before: World
    candidate: Candidate
    made: Made
    last: int
    deployment: str
    parameters: dict[str, str]


def play(scene: Scene, fault: Fault, seed: int) -> Outcome:
    """Play one fault to its end; the scene may be unfit for another afterwards, `usable` tells."""
    began, outcome = time.monotonic(), Outcome(fault.name)
    try:
        _play(scene, fault, seed, outcome)
    except Exception as error:  # what does not come up again is a finding, and the others are still to be played
        outcome.hit = True
        outcome.wrong.append(f"the fault could not be played to its end: {type(error).__name__}: {error}")
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


def _play(scene: Scene, fault: Fault, seed: int, outcome: Outcome) -> None:
    chance, stage = faults.dice(seed, fault), _set(scene, fault)
    settings = scene.house.settings
    with (
        Watch(settings.engine.host, settings.router.folder, ROUTE) as watch,
        Load(PORT, RATE, mix(), users=200, seed=chance.randrange(1000), events=True, timeout=5.0) as load,
    ):
        time.sleep(0.5)
        strike.arm(scene.faults, faults.described(fault, fault.point, chance))
        run = runs.start(stage.deployment, dict(stage.parameters), settings.prefect).id
        struck = _strike(scene, fault, run, load, chance)
        quiet = rest(scene, stage.last)
        strike.disarm(scene.faults)
        time.sleep(0.5)
        report = load.stop()
    outcome.hit = struck is not None
    evidence = _gather(scene, fault, stage, watch, report, quiet)
    _tell(outcome, evidence, report, struck)


def _set(scene: Scene, fault: Fault) -> Stage:
    """Bring the environment to where the story starts, and choose what is tried."""
    if fault.story == "rollback" and not _can_go_back(world.journal(scene)):
        carry(scene, _other(world.look(scene).version))
    before, rows = world.look(scene), world.journal(scene)
    if not before.version:
        raise RuntimeError(f"the stage is not fit: {dict(before.answers)} answered before any fault")
    if fault.story == "rollback":
        made = Made(f"v{_before_that(rows)}")
        asked = {"service": SHOP, "environment": PLACE, "reason": fault.name, "requester": REQUESTER}
        deployment = "rollback/interlock"
    else:
        made = _made(scene, fault, before)
        asked = {"service": SHOP, "ref": made.tag, "to": PLACE, "requester": REQUESTER, "reason": fault.name}
        deployment = "release/interlock"
    columns, migrations = made.columns - before.schema.columns, made.migrations - before.schema.migrated.keys()
    candidate = Candidate(made.version, "", columns, migrations)
    return Stage(before, candidate, made, rows[-1]["seq"] if rows else 0, deployment, asked)


def _made(scene: Scene, fault: Fault, before: World) -> Made:
    if fault.story == "undo":
        return Made(BAD)
    if fault.needs == "known":
        return Made(_other(before.version))
    return scene.versions.fresh(migrating=fault.needs == "migrating")


def _other(version: str) -> str:
    return next(tag for tag in KNOWN if tag != f"v{version}")


def _served(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["kind"] == "now serving"]


def _can_go_back(rows: list[Row]) -> bool:
    """Tell whether what serves was released (and not rolled back to), after something else."""
    served = _served(rows)
    return len(served) > 1 and served[-1]["fact"]["settled"]["way"] == "release"


def _before_that(rows: list[Row]) -> str:
    """Name the version that served before the one that serves."""
    deployments = [row["fact"]["settled"]["deployment"] for row in _served(rows)]
    now = deployments[-1]["release"]
    return str(next(it["version"] for it in reversed(deployments) if it["release"] != now))


def carry(scene: Scene, tag: str) -> None:
    """Release a version with nothing in its way. Raises RuntimeError when it is not released all the same."""
    after = max((row["seq"] for row in world.journal(scene)), default=0)
    asked = {"service": SHOP, "ref": tag, "to": PLACE, "requester": REQUESTER, "reason": "the stage is set"}
    with Load(PORT, RATE, mix(), users=200, timeout=5.0):  # the judge wants to see somebody
        runs.start("release/interlock", asked, scene.house.settings.prefect)
        patiently(lambda: bool(world.journal(scene, after, "opened", "entered")), _REACHED, pause=0.5)
        wrong = rest(scene, after)
    if wrong or set(world.phases(world.journal(scene, after)).values()) != {"released"}:
        raise RuntimeError(f"{tag} could not be released without any fault: {wrong or 'it was put back'}")


def _strike(scene: Scene, fault: Fault, run: str, load: Load, chance: random.Random) -> float | None:
    """Wait until the flow reaches the point, and see the fault through; when it happened, None if it never did."""
    hit = _hit(scene, run)
    if hit is None:
        return None
    pid, at = int(hit["pid"]), hit["at"]
    if fault.kind == "stop":
        _thaw_late(scene, pid, chance)
    elif fault.kind != "kill":
        at = time.time()
        if fault.kind == "runner":  # a frozen process whose parent dies gets SIGHUP from the kernel: not our fault
            strike.thaw(pid)
        with strike.failing(fault.kind, scene, run, frozenset({load.pid})):
            strike.thaw(pid)
    elif fault.again:
        strike.arm(scene.faults, faults.described(fault, fault.again, chance))
        if _hit(scene, "") is None:
            return None
    return at


def _hit(scene: Scene, run: str) -> dict[str, float] | None:
    """Wait for the process that is hit; a run that ended will not be."""
    give_up, settings = time.monotonic() + _REACHED, scene.house.settings
    while time.monotonic() < give_up:
        if patiently(lambda: strike.fired(scene.faults) is not None, 3.0):
            break
        if run and runs.look(run, settings.prefect).over:
            break
    return strike.fired(scene.faults)


def _thaw_late(scene: Scene, pid: int, chance: random.Random) -> None:
    """Keep it frozen until its leases are over, and a while into whatever goes on without it."""
    after = max((row["seq"] for row in world.journal(scene)), default=0)
    patiently(lambda: bool(world.journal(scene, after, "recovered")), 2.5 * TTL, pause=0.5)
    time.sleep(chance.uniform(0.0, 12.0))
    strike.thaw(pid)


def rest(scene: Scene, after: int, patience: float = PATIENCE) -> str:
    """Wait until every release has ended, nothing is held and no flow runs; else say what still goes on."""
    said = ""

    def still() -> str:
        try:
            return _busy(scene, after)
        except Exception as error:  # whatever is away comes back, or the patience ends
            return f"{type(error).__name__}: {error}"

    give_up = time.monotonic() + patience
    while said := still():
        if time.monotonic() > give_up:
            return f"not at rest after {patience:.0f} s: {said}"
        time.sleep(0.5)
        if any(child is None for child in scene.stack.status().values()):
            with suppress(ReleaseError):  # what will not start now is tried again
                scene.up()
    return ""


def _busy(scene: Scene, after: int) -> str:
    """Say what still goes on; empty when nothing does."""
    ended = world.phases(world.journal(scene, after, "opened", "entered"))
    if going := {release: phase for release, phase in ended.items() if phase not in OVER | {"stuck"}}:
        return f"releases {going}"
    if held := [f"{it['owner']} holds {it['environment']}" for it in world.leases(scene) if it["left"] < 3600]:
        return ", ".join(held)
    if alive := world.flow_processes():
        return f"flow processes {alive}"
    if waiting := unstarted(scene):
        return f"runs that have not started: {waiting}"
    return ""


def unstarted(scene: Scene) -> list[str]:
    """List the runs of releases and rollbacks that Prefect has yet to start or to cancel."""
    return _runs(scene, ["SCHEDULED", "PENDING", "CANCELLING"])


def forgotten(scene: Scene) -> list[str]:
    """List the runs that Prefect believes to be running; call it when no process is."""
    return _runs(scene, ["RUNNING"])


def _runs(scene: Scene, states: list[str]) -> list[str]:
    asked = {
        "flows": {"name": {"any_": ["release", "rollback"]}},
        "flow_runs": {"state": {"type": {"any_": states}}},
    }
    url = f"{scene.house.settings.prefect.api}/flow_runs/filter"
    answer = httpx.post(url, json=asked, timeout=10, trust_env=False).raise_for_status()
    return [f"{run['name']} ({run['state_name']})" for run in answer.json()]


def _gather(scene: Scene, fault: Fault, stage: Stage, watch: Watch, report: Report, quiet: str) -> Evidence:
    """Put together what was seen; a world that is not right yet is looked at again."""
    evidence = None
    for left in reversed(range(_AGAIN)):
        evidence = _look(scene, fault, stage, watch, report, quiet)
        if not left or not broken(evidence):
            break
        time.sleep(_BETWEEN)
    assert evidence is not None  # _AGAIN is not 0
    return evidence


def _look(scene: Scene, fault: Fault, stage: Stage, watch: Watch, report: Report, quiet: str) -> Evidence:
    journal = scene.house.journal
    candidate = Candidate(
        stage.made.version, _image(scene, stage.made), stage.candidate.columns, stage.candidate.migrations
    )
    return Evidence(
        before=stage.before,
        after=world.look(scene),
        candidate=candidate,
        rows=world.journal(scene),
        effects=tuple(watch.effects),
        shares=tuple(watch.shares),
        acknowledged=frozenset(report.acknowledged.get("order", [])),
        orders=frozenset(world.orders(scene)),
        failures=failures(report.events),
        chain=verify(journal.rows(), latest(scene.desk.ports.store)),
        verdicts=tuple(_other_verdicts(scene)),
        quiet=quiet,
        unnoticed=fault.kind in faults.UNNOTICED,
        engine_died=fault.kind in faults.ENGINE_DIES,
    )


def _other_verdicts(scene: Scene) -> Iterator[str]:
    """Judge the newest releases again from their looks, and tell where a verdict is another one."""
    journal = scene.house.journal
    for release in [entry.release for entry in journal.entries(service=SHOP, kinds=("opened",))][-2:]:
        if plan := plan_of(journal.entries(release=release, kinds=("planned",))):
            seen = journal.entries(release=release, kinds=("looked", "judged"))
            told = replay(seen, partial(judge_of, journal, plan, release))
            yield from (f"{release} at {it.share}: {it.now} instead of {it.recorded}" for it in told if not it.same)


def _image(scene: Scene, made: Made) -> str:
    registry = scene.desk.ports.registry
    with suppress(ReleaseError):
        published = registry.resolve(registry.repository(SHOP), made.version)
        return published.image if published else ""
    return ""


def failures(events: list[Event]) -> dict[str, int]:
    """Count what went wrong for customers, but for what a bad version does itself."""
    bad = BAD.removeprefix("v")
    wrong = (it for it in events if not it.status.startswith("2") and (it.version, it.status) != (bad, "500"))
    return dict(Counter(f"{it.call} {it.status} {it.version}".strip() for it in wrong))


def _tell(outcome: Outcome, evidence: Evidence, report: Report, struck: float | None) -> None:
    new = [row for row in evidence.rows if struck and _at(row) > struck]
    outcome.wrong = broken(evidence)
    outcome.ended = f"{', '.join(sorted(set(world.phases(new).values()))) or '–'}; {evidence.after.version} serves"
    outcome.requests, outcome.failed = report.sent, sum(evidence.failures.values())
    creates = Counter(effect for effect in evidence.effects if effect.what == "create")
    outcome.created_again = sum(count - 1 for count in creates.values())
    if not struck:
        return
    noticed = [_at(row) for row in new if row["kind"] == "recovered"]
    ends = [_at(row) for row in new if row["kind"] == "entered" and row["fact"]["phase"] in OVER | {"stuck"}]
    outcome.noticed_after = round(noticed[0] - struck, 2) if noticed else None
    outcome.rest_after = round(max(ends) - struck, 2) if ends else None


def _at(row: Row) -> float:
    return datetime.fromisoformat(row["at"]).timestamp()


def usable(scene: Scene, outcome: Outcome) -> bool:
    """Tell whether the scene can take another fault; what waits for a person is put back as a person would."""
    if outcome.wrong:
        return False
    if not world.leases(scene):
        return True
    after = world.journal(scene)[-1]["seq"]
    asked = {"service": SHOP, "environment": PLACE, "reason": "what is stuck is put back", "requester": REQUESTER}
    runs.start("rollback/interlock", asked, scene.house.settings.prefect)
    patiently(lambda: bool(world.journal(scene, after, "opened", "entered")), _REACHED, pause=0.5)
    return not rest(scene, after) and not world.leases(scene)


@contextmanager
def opened(scene: Scene) -> Iterator[Scene]:
    """Open the scene, with a first version that serves; take it away at the end."""
    try:
        scene.open()
        carry(scene, KNOWN[0])
        yield scene
    finally:
        scene.close()
