"""A whole house in memory, built from a seed: services, environments, versions, visitors, and the time of day."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, cast
from unittest.mock import patch

from prefect.exceptions import Pause

from adapters.connect import Desk
from adapters.memory.clock import MemoryClock
from adapters.memory.journal import MemoryJournal
from adapters.memory.post import MemoryPost
from adapters.memory.registry import MemoryRegistry
from adapters.memory.secrets import MemorySecrets
from adapters.memory.store import MemoryStore
from bench.simulation import quick, twins
from bench.simulation.processes import Died, Prefect, Process, Role, Strikes, Stumbled
from bench.simulation.shape import ENVIRONMENTS, Nature, Shape, catalog, settings
from bench.simulation.twins import Wire
from domain.canary.tick import Cell, Tick
from domain.errors import ReleaseError, Unavailable
from domain.ports import Ports
from domain.release.artifact import Artifact
from domain.release.route import Route, Slot
from flows.dispatch import Ended
from flows.release import release
from flows.rollback import rollback
from flows.sweep import sweep
from tasks.clear_away import clear_away

_SLOTS: tuple[Slot, Slot] = ("blue", "green")
_DISPATCH = ("being_cancelled", "end", "start", "end_of", "wait", "wake", "stop", "leave_word")
_FLOWS: dict[str, Callable[..., Any]] = {"release/interlock": release.fn, "rollback/interlock": rollback.fn}


@dataclass(frozen=True)
class Effect:
    """Something that was really done, outside of the ledger."""

    what: str
    service: str
    environment: str
    name: str
    release: str
    token: int
    route: Route | None


@dataclass
class Outage:
    """A port that does not answer: so many calls, or until some time; `acted`: it does what it is told all the same."""

    port: str
    acted: bool
    calls: float = float("inf")
    until: float = float("inf")
    error: Callable[[str], Exception] = Unavailable


@dataclass
class World:
    """The desks that flows see, the twins behind them, and everything that was seen to happen."""

    shape: Shape
    random: Random
    telling: bool = False
    clock: MemoryClock = field(default_factory=MemoryClock)
    natures: dict[str, Nature] = field(default_factory=dict)
    stack: list[Process] = field(default_factory=list)
    faults: Sequence[tuple[Role, int, Strikes]] = ()
    started: dict[Role, int] = field(default_factory=dict)
    outages: list[Outage] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    struck: list[Any] = field(default_factory=list)  # in this episode
    ever: list[Any] = field(default_factory=list)  # in this life
    hit: set[str] = field(default_factory=set)  # at which moments
    late: list[Effect] = field(default_factory=list)  # of owners who were overtaken
    broken: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    runs: int = 0
    processes: list[Process] = field(default_factory=list)
    tidies: bool = False

    def __post_init__(self) -> None:
        images: dict[str, Artifact] = {}
        self.tidies = self.shape.tidy
        self.journal = MemoryJournal(self.clock, chained=False)
        self.leases = twins.HeartLeases(self)
        self.post = MemoryPost(jitter=lambda: 1.0)
        self.prefect = Prefect(self, _FLOWS)
        self.router, self.workload = twins.CountingRouter(self), twins.CountingWorkload(self)
        self.probe, self.store, self.notices = twins.SlowProbe(self), MemoryStore(), twins.CountingNotices(self)
        self.builder, self.registry = twins.CountingBuilder(self, images), MemoryRegistry(images)
        self.router.traffic = self.visits
        self.sources = {name: twins.PackedSource() for name in self.shape.services}
        self.databases = {
            name: twins.databases(self, name, ENVIRONMENTS if self.has_schema(name) else ()) for name in self.sources
        }
        self.desks = {name: self._desk(name) for name in self.sources}

    @property
    def process(self) -> Process | None:
        """Name the process that runs just now; None: it is the harness itself."""
        return self.stack[-1] if self.stack else None

    def has_schema(self, service: str) -> bool:
        """Tell whether a service has databases."""
        return self.shape.schema and service == "shop"

    def new_run(self) -> str:
        """Name a run of Prefect's; the first six characters are its own."""
        self.runs += 1
        return f"{self.runs:06x}-{self.shape.strategy}"

    def launch(self, role: Role, work: Callable[[], Any], run: str = "") -> Ended | Literal["completed"]:
        """Run something in a process of its own; tell how it ended."""
        run = run or self.new_run()
        self.started[role] = self.started.get(role, 0) + 1
        mine = [fault for wanted, nth, fault in self.faults if (wanted, nth) == (role, self.started[role])]
        process = Process(role, run, life=f"life{self.runs}", faults=mine)
        self.prefect.ends[run], self.prefect.works[run] = "alive", (role, work)
        self.stack.append(process)
        self.processes.append(process)
        self.tell(f"{role} {run} starts")
        end: Ended | Literal["completed"] = "completed"
        try:
            with patch("flows.hold.LIFE", process.life):
                work()
        except Died as died:
            end = died.seen_as
        except Pause:
            end = "waiting"
        except (ReleaseError, Stumbled) as error:
            self.tell(f"{role} {run}: {type(error).__name__}: {error}")
            end = "failed"
        except Exception as error:  # whatever it is, nobody planned it
            self.broken.append(f"nothing unforeseen is raised: {role} {type(error).__name__}: {error}")
            end = "failed"
        finally:
            self.stack.pop()
        if end != "completed":  # what has completed looks alive to a sweep, which asks for failures only
            self.prefect.ends[run] = end
        self.tell(f"{role} {run} ends: {end}")
        return end

    def sweep(self) -> None:
        """Run a sweep."""
        self.launch("sweep", sweep.fn)

    def follow(self) -> None:
        """Run everything that sweeps have started, and whoever was called."""
        due, self.prefect.due = self.prefect.due, []
        for run in due:
            self.launch(*self.prefect.works[run], run)

    def moment(self, name: str) -> None:
        """Come by a moment in the life of a process, where a fault may strike."""
        if not self.stack:
            return
        for fault in self.stack[-1].comes_by(name):
            self.tell(f"    {fault} at {name}")
            self.struck.append(fault)
            self.ever.append(fault)
            self.hit.add(name)
            fault.strike(self)

    def point(self, when: str, fact: str, name: str = "", environment: str = "") -> None:
        """Come by a fact: the hook that flows and verbs have."""
        if self.stack:
            self.moment(f"{when} {fact} {name} {environment}")

    def reach(self, port: str, *, acted: bool) -> None:
        """Get through to a port; raises Unavailable, or worse, while there is an outage."""
        now = self.clock.now()
        self.outages = [it for it in self.outages if it.calls > 0 and it.until > now]
        for outage in self.outages:
            if (outage.port, outage.acted) == (port, acted) and self.stack:
                outage.calls -= 1
                raise outage.error(f"{port} does not answer")

    def _at_work(self, service: str, environment: str, token: int) -> bool:
        """Tell whether an owner got past its claims, and so wrote a fact; one that died before that overtook nobody."""
        entries = self.journal.entries(service=service, environment=environment)
        return any(entry.token == token and entry.fact.kind != "lease taken" for entry in entries)

    def effect(
        self, what: str, service: str, environment: str = "", name: str = "", release: str = "", token: int = 0,
        route: Route | None = None,
    ) -> None:  # fmt: skip
        """Keep what was done, and see whether users still get an answer."""
        done = Effect(what, service, environment, name, release, token, route)
        self.effects.append(done)
        newest = self.journal.newest_token.get((service, environment), 0)
        if environment and token < newest and self._at_work(service, environment, newest):
            self.late.append(done)
        self.tell(f"    {what} {service} {environment} {name} {release} {token or ''} {_said(route)}")
        if environment:
            self._insist_on_an_answer(service, environment)

    def visits(self, route: Route, candidate: str, second: int) -> Tick:
        """Send visitors, split as the route says; what they meet lies in the version's nature."""
        slot: Slot = "green" if candidate == "green" else "blue"
        behind = [self.workload.replicas.get(it.name) for it in route.endpoints(slot)]
        nature = self.natures.get(behind[0].version, "good") if behind and behind[0] else "good"
        if nature == "unvisited":
            return Tick(second=second)
        n = round(self.shape.visitors * route.share(slot) / 10_000)
        cells = (
            Cell(arm="candidate", replica="c", requests=n, bad=round(0.2 * n) if nature == "failing" else 0),
            Cell(arm="stable", replica="s", requests=self.shape.visitors - n, bad=0),
        )
        return Tick(second=second, cells=tuple(cell for cell in cells if cell.requests))

    def tell(self, line: str) -> None:
        """Keep a line of the story, when somebody wants to read it."""
        if self.telling:
            depth = "  " * len(self.stack)
            self.story.append(f"{self.clock.now() - 1_800_000_000:9.3f} {depth}{line}")

    def _insist_on_an_answer(self, service: str, environment: str) -> None:
        route = self.router._routes.get(f"{service}-{environment}")
        told = self.journal.entries(service=service, environment=environment, kinds=("now serving",))
        phases = {entry.release: self.journal._phases[entry.release].phase for entry in told}
        if route is None or all(phase in ("rolling back", "rolled back") for phase in phases.values()):
            return  # nothing was ever there for users, or the first of all releases is taken back again
        for slot in _SLOTS:
            if not route.share(slot):
                continue
            wanted = {it.name: it.address for it in route.endpoints(slot)}
            there = [self.workload.replicas.get(name) for name in wanted]
            up = [it for it in there if it and it.running and it.address == wanted[it.name]]
            if len(up) < len(there) or not up:
                said = f"{service} in {environment}: {slot} has {route.share(slot)} and {len(up)} of {len(there)} up"
                self.broken.append(f"users always get an answer: {said}")

    def _desk(self, service: str) -> Desk:
        def wire(name: str, port: Any, *quiet: str) -> Any:
            return Wire(self, name, port, quiet=quiet)

        return Desk(
            settings=settings(),
            catalog=catalog(self.shape),
            secrets=cast(Any, MemorySecrets({})),  # the twin; flows only hand it on
            journal=wire("ledger", self.journal, "append", "entries", "checkpoint"),
            leases=wire("ledger", self.leases, "check", "holder", "keep_alive"),
            post=wire("ledger", self.post, "due", "deliver", "dead"),
            service=catalog(self.shape).services[service],
            ports=Ports(
                clock=self.clock,
                source=wire("source", self.sources[service], "tags", "history", "files", "changed"),
                builder=wire("builder", self.builder, "find"),
                registry=wire("registry", self.registry, "repository", "resolve"),
                workload=wire("workload", self.workload, "logged"),
                probe=wire("probe", self.probe),
                router=cast(Any, twins.WireToRouter(self, "router", self.router, quiet=("observe",))),
                databases={
                    name: wire("database", twin, "backup", "applied", "fingerprint")
                    for name, twin in self.databases[service].items()
                },
                store=wire("store", self.store),
                notices=wire("notices", self.notices),
            ),
        )


@contextmanager
def played(world: World) -> Iterator[World]:
    """Let the flows see this world and no other, and take its time for theirs."""
    with ExitStack() as patches:
        for name, value in {
            **{
                f"flows.{it}.connect": lambda name, _house=None: world.desks[name]
                for it in ("release", "rollback", "recover", "sweep", "drill")
            },
            **{f"flows.{it}.flow_run": world.prefect for it in ("release", "rollback", "sweep", "drill")},
            **{f"flows.dispatch.{it}": getattr(world.prefect, it) for it in _DISPATCH},
            **{f"{it}.point": world.point for it in ("tasks.step", "flows.hold")},
            **{f"flows.{it}.open_house": lambda: next(iter(world.desks.values())) for it in ("sweep", "drill")},
            "flows.way_back.rollback": world.prefect.as_subflow(rollback.fn),
            **quick.parts(),
            "tasks.step.sleep": world.clock.sleep,
            "flows.sweep.clear_away": lambda desk, **how: clear_away(desk, **how) if world.tidies else (),
        }.items():  # fmt: skip
            patches.enter_context(patch(name, value))
        yield world


def _said(route: Route | None) -> str:
    if route is None:
        return ""
    blue, green = ([it.name for it in route.endpoints(slot)] for slot in _SLOTS)
    return f"green {route.green_share} blue={blue} green={green}"
