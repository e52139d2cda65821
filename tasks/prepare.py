"""Read source and history, draw up the plan, hold it against policy."""

from collections.abc import Mapping

from domain.environment.profile import Environment
from domain.errors import Refused
from domain.facts import Entered, Opened, Planned
from domain.policy.people import People
from domain.policy.rules import insist
from domain.ports import Database, Journal, Ports, Source
from domain.release import standing
from domain.release.draw_up import History, SourceFacts, draw_up
from domain.release.plan import Plan, Request
from domain.release.recall import entered, phase_of, plan_of, traffic_of
from domain.release.service import Service
from domain.release.state import OVER
from domain.schema.migration import read
from tasks.step import Warrant, look, note


@look
def prepare(
    warrant: Warrant,
    request: Request,
    run: str,
    service: Service,
    environments: Mapping[str, Environment],
    people: People,
    ports: Ports,
) -> Plan:
    """Return the release's plan: the recorded one when it was planned before, else a new one, recorded.

    Raises Refused when a rule denies, or when the release is over.
    """
    entries = warrant.journal.entries(release=warrant.release, kinds=("opened", "planned", "entered"))
    if (phase := phase_of(entries)) in OVER:
        raise Refused(f"{warrant.release} is {phase}", "start a new release")
    if not entries:
        warrant.record(Opened(request=request, run=run))
    if (plan := plan_of(entries)) is None:
        plan = compute(request, service, environments, people, ports, warrant.journal)
        insist(plan.verdicts)
        warrant.record(Planned(plan=plan, hash=plan.hash))
    if phase is None:
        warrant.record(Entered(phase="planned"))
    return plan


@note
def refresh(
    warrant: Warrant,
    plan: Plan,
    environment: str,
    service: Service,
    environments: Mapping[str, Environment],
    people: People,
    ports: Ports,
) -> Plan:
    """Return the plan as it must be now that the release's turn in an environment has come.

    Where something else has come to serve there since, everything from there on is drawn up again for the same commit,
    and recorded: people approve what will be done, not what would have been. Raises Refused when a rule denies.
    """
    own = warrant.journal.entries(release=warrant.release, kinds=("entered",))
    there = warrant.journal.entries(service=warrant.service, environment=environment)
    unchanged = standing.fold(there).serving == plan.stage(environment).previous
    if unchanged or entered(own, "deploying", environment):
        return plan
    pinned = plan.request.model_copy(update={"ref": plan.commit.sha})
    again = compute(pinned, service, environments, people, ports, warrant.journal)
    done = {entry.environment for entry in own if entry.fact == Entered(phase="settled")}
    stages = tuple(old if old.environment in done else again.stage(old.environment) for old in plan.stages)
    fresh = plan.model_copy(update={"stages": stages, "verdicts": again.verdicts})
    insist(fresh.verdicts)
    warrant.record(Planned(plan=fresh, hash=fresh.hash))
    return fresh


def compute(
    request: Request,
    service: Service,
    environments: Mapping[str, Environment],
    people: People,
    ports: Ports,
    journal: Journal,
) -> Plan:
    """Draw up a plan without recording anything: what `interlock plan` shows."""
    history = recall(service.name, request.environments, ports.databases, journal)
    history = history.model_copy(update={"traffic": _traffic(history, environments, journal)})
    facts = survey(service, request, ports.source, history)
    return draw_up(request, service, environments, people, facts, history, ports.registry.repository(service.name))


def recall(service: str, wanted: tuple[str, ...], databases: Mapping[str, Database], journal: Journal) -> History:
    """Fold the service's journal per environment, and ask each database what was applied."""
    entries = journal.entries(service=service, kinds=("now serving",))
    stands = {
        name: standing.fold(e for e in entries if e.environment == name) for name in {e.environment for e in entries}
    }
    passed: dict[str, frozenset[str]] = {}
    for name, stand in stands.items():
        for settled in stand.settled:
            passed[settled.commit] = passed.get(settled.commit, frozenset()) | {name}
    return History(
        settled={name: stand.serving for name, stand in stands.items() if stand.serving},
        applied={name: databases[name].applied() for name in wanted if name in databases},
        passed=passed,
    )


def _traffic(history: History, environments: Mapping[str, Environment], journal: Journal) -> dict[str, float]:
    """Recall, where a ramp starts by it, the traffic that was seen when what serves there was released."""
    told: dict[str, float] = {}
    for name, settled in history.settled.items():
        if name in environments and environments[name].rollout.start == "auto":
            serving = settled.deployment.release
            told[name] = traffic_of(journal.entries(release=serving, environment=name, kinds=("looked",)))
    return told


def survey(service: Service, request: Request, source: Source, history: History) -> SourceFacts:
    """Ask the repository about the commit, and what changed since the last environment's version."""
    commit = source.resolve(request.ref)
    last = history.settled.get(request.environments[-1])
    since = last.commit if last else None
    tool = service.schema_.tool if service.schema_ else None
    folders = (service.schema_.migrations, *(tool.watch if tool else ())) if service.schema_ else ()
    files = {folder: source.files(commit.sha, folder) for folder in folders}
    return SourceFacts(
        commit=commit,
        tags=source.tags(commit.sha),
        earlier_tags=tuple(tag for change in source.history(None, commit.sha)[1:] for tag in source.tags(change.sha)),
        changes=source.history(since, commit.sha),
        migrations=() if tool else read({name: text for it in files.values() for name, text in it.items()}),
        wanted={f"{it}/{name}": text for it, known in files.items() for name, text in known.items()} if tool else {},
    )
