"""`interlock status`: what serves where, what is under way, who must act."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from adapters.connect import House, connect, open_house
from adapters.system_clock import SystemClock
from cli import options, show, world
from cli.find import waiting, who_may
from cli.lease import held_leases
from cli.lease import table as lease_table
from domain.environment.topology import path_to
from domain.facts import Entry, NowServing
from domain.policy.approval import Gate, quorum
from domain.release import standing, state
from domain.release.recall import approvals_of, plan_of, walks_of
from domain.release.service import Service
from domain.value import Value

app = typer.Typer(add_completion=False)


class Place(Value):
    """A service in one environment, by the journal; share in percent of the traffic.

    `walked` is when the way back of its schema was walked on a copy last, before a release or in a drill.
    """

    service: str
    environment: str
    version: str = ""
    digest: str = ""
    slot: str = ""
    share: float | None = None
    since: str = ""
    release: str = ""
    way: str = ""
    walked: str = ""


class UnderWay(Value):
    """A release that is not over, and who must act next."""

    release: str
    service: str
    version: str
    phase: str
    environment: str
    since: str
    next: str


class Seen(Value):
    """What router and engine say of a place, and every difference to the journal."""

    service: str
    environment: str
    traffic: str
    replicas: str
    differences: tuple[str, ...]


@app.command(epilog="Example: `interlock status shop --world`")
def status(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="One service; left out: all.", show_default=False)
    ] = "",
    ask: Annotated[bool, typer.Option("--world", help="Ask router and engine too, and mark every difference.")] = False,
    json: options.Json = False,
) -> None:
    """Show what serves where, what is under way, and who must act.

    All of it from the journal; leases and messages that were given up from their tables.
    """
    house = open_house()
    services = [house.catalog.service(service)] if service else list(house.catalog.services.values())
    places = [place(house, spec.name, name) for spec in services for name in _in_order(house, spec)]
    moving = under_way(house, [spec.name for spec in services])
    held, dead = held_leases(house, service), house.post.dead()
    seen = [look(house, it.service, it.environment) for it in places] if ask else []
    if json:
        data = {"serving": places, "under_way": moving, "leases": held, "dead_letters": dead}
        show.data({**data, "world": seen} if ask else data)
        return
    show.table(
        "serving",
        ("", "version", "traffic", "since", "by", "digest"),
        map(_place_row, places),
        "no services",
    )
    for old in [it for it in places if _overgrown(it, house)]:
        said = f"the way back of {old.service} in {old.environment} was walked last {show.when(old.walked)}"
        show.say(f"{said}: `interlock drill {old.service} {old.environment}`", "yellow")
    show.say("under way" if moving else "under way: nothing", "bold" if moving else "dim")
    for it in moving:
        _show_moving(it)
    lease_table(held)
    if dead:
        show.say(f"{len(dead)} messages were given up: `interlock notices` shows them", "yellow")
    if ask:
        _show_world(seen)


def _in_order(house: House, service: Service) -> list[str]:
    """List a service's environments, the first one first."""
    return sorted(service.environments, key=lambda name: (len(path_to(name, house.environments)), name))


def place(house: House, service: str, environment: str) -> Place:
    """Fold what serves in an environment."""
    empty = Place(service=service, environment=environment)
    entries = house.journal.entries(service=service, environment=environment, kinds=("now serving", "done"))
    last = next((entry for entry in reversed(entries) if isinstance(entry.fact, NowServing)), None)
    stands = standing.fold(entries)
    if last is None or stands.serving is None:
        return empty
    deployment = stands.serving.deployment
    return empty.model_copy(
        update={
            "version": deployment.version,
            "digest": deployment.artifact.digest,
            "slot": deployment.slot,
            "share": stands.route.share(deployment.slot) / 100 if stands.route else None,
            "since": last.at,
            "release": deployment.release,
            "way": stands.serving.way,
            "walked": next((it.at for it in reversed(entries) if walks_of([it])), ""),
        }
    )


def under_way(house: House, services: Sequence[str]) -> list[UnderWay]:
    """List releases that are not over; one that was refused before it had a plan never began."""
    found = []
    for service in services:
        entries = house.journal.entries(service=service, kinds=("planned", "entered"))
        for it in state.fold(entries).values():
            if it.phase is None or it.over:
                continue
            found.append(
                UnderWay(
                    release=it.release,
                    service=service,
                    version=it.version,
                    phase=it.phase,
                    environment=it.environment,
                    since=it.changed_at,
                    next=_next(house, it),
                )
            )
        found += reconciling(house, service)
    return found


def reconciling(house: House, service: str) -> list[UnderWay]:
    """List the reconciliations of a service that wait for people."""
    found = []
    for name in dict.fromkeys(it.release for it in house.journal.entries(service=service, kinds=("compared",))):
        entries = house.journal.entries(release=name)
        if gate := waiting(entries):
            told = {"release": name, "service": service, "version": "", "phase": "waits for people"}
            told |= {"environment": gate.environment, "since": entries[-1].at, "next": _asked(house, entries, gate)}
            found.append(UnderWay.model_validate(told))
    return found


def _asked(house: House, entries: Sequence[Entry], gate: Gate) -> str:
    """Say which people a gate still waits for."""
    at = datetime.fromtimestamp(SystemClock().now(), UTC)
    counted = quorum(approvals_of(entries), gate, house.people, at)
    missing = [f"{roles} ({', '.join(who) or 'nobody left'})" for roles, who in who_may(gate, counted, house.people)]
    return f"{gate.question}? " + " + ".join(missing) if missing else "its run goes on"


def _next(house: House, now: state.ReleaseState) -> str:
    """Say who must act: people by name, an operator, or nobody but the release itself."""
    entries = house.journal.entries(release=now.release)
    if gate := waiting(entries):
        return _asked(house, entries, gate)
    return f"interlock rollback {now.service} {now.environment}" if now.phase == "stuck" else "its run goes on"


def look(house: House, service: str, environment: str) -> Seen:
    """Ask router and engine about a place."""
    ports = connect(service, house).ports
    stands = standing.fold(house.journal.entries(service=service, environment=environment, kinds=("done",)))
    traffic, strange = world.traffic(stands, f"{service}-{environment}", ports.router)
    replicas, odd = world.replicas(stands, service, environment, ports.workload)
    return Seen(
        service=service,
        environment=environment,
        traffic=traffic,
        replicas=replicas,
        differences=(*strange, *odd),
    )


def _place_row(it: Place) -> tuple[str, ...]:
    where = f"{it.service} · {it.environment}"
    if not it.version:
        return where, "–", "–", "–", "nothing was released here", "–"
    share = f"{it.slot} {it.share:g} %" if it.share is not None else it.slot
    by = f"rollback to {it.release}" if it.way == "rollback" else it.release
    return where, it.version, share, show.when(it.since), by, it.digest[7:19]


def _overgrown(it: Place, house: House) -> bool:
    """Tell whether nothing can be released on top of it, before its way back is walked again."""
    schema = house.catalog.service(it.service).schema_
    plan = plan_of(house.journal.entries(release=it.release, kinds=("planned",))) if it.walked else None
    if schema is None or plan is None or plan.stage(it.environment).previous is None:
        return False  # a first release leads back to nothing
    return (datetime.now(UTC) - datetime.fromisoformat(it.walked)).total_seconds() > schema.drill_expires


def _show_moving(it: UnderWay) -> None:
    where = f" · {it.environment}" if it.environment else ""
    said = filter(None, (it.release, it.version, f"{it.phase}{where}", f"since {show.when(it.since)}"))
    show.say("  ".join(said))
    show.say(f"  → {it.next}")


def _show_world(seen: Sequence[Seen]) -> None:
    rows = [(f"{it.service} · {it.environment}", it.traffic, it.replicas) for it in seen]
    show.table("the world", ("", "traffic", "replicas"), rows)
    for it in seen:
        for difference in it.differences:
            show.say(f"● {it.service} · {it.environment}: {difference}", "yellow")
    if not any(it.differences for it in seen):
        show.say("router and engine are as the journal says", "green")
