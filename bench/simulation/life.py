"""The life of a house: versions are committed, released, interrupted, taken up again, and taken back."""

from dataclasses import dataclass, field

from bench.simulation.processes import Role
from bench.simulation.shape import ENVIRONMENTS, Nature
from bench.simulation.world import World
from domain.facts import Entry
from domain.lease import carrier_of
from domain.release import standing, state
from domain.release.plan import Plan
from domain.release.recovery import HANDED_OVER
from domain.release.standing import Standing
from domain.release.state import ReleaseState
from flows.drill import drill
from flows.lost import last_run
from flows.release import release
from flows.rollback import rollback

MINUTE = 61.0  # seconds between two sweeps
WEEK = 7 * 86_400.0  # seconds
LONGEST = 40  # sweeps until everything must be at rest
_UP = "-- interlock: phase=expand\n"


@dataclass(frozen=True)
class Candidate:
    """A version that somebody wants to release."""

    service: str
    tag: str
    to: str
    nature: Nature

    @property
    def version(self) -> str:
        """Name it without the prefix of its tag."""
        return self.tag.removeprefix("v")

    def deserves(self, plan: Plan | None) -> bool:
        """Tell whether nothing in it keeps it from being released as far as it goes.

        Visitors must see it first, and its migration may have been applied by a rival that had it, too.
        """
        stages = plan.stages if plan else ()
        unseen = plan is not None and not any(stage.judged for stage in stages)
        applied = plan is not None and not any(stage.schema_steps for stage in stages)
        harmless = {"failing": unseen, "unvisited": unseen, "unprovable": applied, "locked out": applied}
        return self.nature == "good" or harmless.get(self.nature, False)


_OF_SCHEMA = ("unmigratable", "unprovable", "locked out")


@dataclass
class Life(World):
    """A world in which time passes."""

    candidates: list[Candidate] = field(default_factory=list)
    drilled: float = 1_800_000_000.0  # when a MemoryClock begins
    _unsound: dict[str, str] = field(default_factory=dict)  # service → a migration that never worked, to be replaced

    @property
    def releasing(self) -> Candidate:
        """Name the version that was committed last."""
        return self.candidates[-1]

    def commit(
        self, service: str, nature: Nature = "good", to: str = "production", migrates: bool = False
    ) -> Candidate:
        """Commit a version to a service's repository, tagged."""
        number = len(self.candidates)
        source, files = self.sources[service], {"Dockerfile": "FROM x", "app.py": f"version {number}"}
        if self.has_schema(service):
            files |= self._migration(service, number, nature, migrates or nature in _OF_SCHEMA)
            files["db/smoke.sql"] = "insert into orders (id) values (7);"
        elif nature in _OF_SCHEMA:
            nature = "unbuildable"
        candidate = Candidate(service, f"v1.{number}.0", to, nature)
        source.commit(f"feat: number {number}", files, tag=candidate.tag)
        self.natures[candidate.version] = nature
        self.candidates.append(candidate)
        return candidate

    def _migration(self, service: str, number: int, nature: Nature, migrates: bool) -> dict[str, str]:
        known = self.sources[service].files(self.sources[service].resolve("main").sha, "db") if number else {}
        place = sum(name.endswith(".up.sql") for name in known) + 1
        unsound, broken = self._unsound.get(service, ""), nature in ("unmigratable", "unprovable")
        name = unsound or f"db/{place:04d}_{f'number_{number}' if known or broken else 'orders'}"
        table = "orders" if "0001" in name else f"mended_{number}"
        up, down = f"alter table orders add n{number} int;", f"alter table orders drop column n{number};"
        if unsound or not known:
            up, down = f"create table {table} (id int);", f"drop table {table};"
        if nature == "unmigratable":
            up = f"alter table nowhere add number_{number} int;"
        if nature == "unprovable":
            down = f"create table astray_{number} (id int);"
        if broken:
            self._unsound[service] = name
        elif not self._unsound.pop(service, "") and known and not migrates:
            return {}
        return {f"{name}.up.sql": f"{_UP}{up}", f"{name}.down.sql": down}

    def release(self, candidate: Candidate, role: Role = "release") -> None:
        """Release a version, as a person would."""
        wanted = (candidate.service, candidate.tag, candidate.to, "dora", "a simulation")
        self.launch(role, lambda: release.fn(*wanted))

    def rival(self) -> None:
        """Release something else in the middle of it."""
        service = self.random.choice((self.releasing.service, *self.shape.services))
        self.release(self.commit(service, to=self.random.choice(ENVIRONMENTS)), "rival")

    def roll_back(self, environment: str, service: str = "", release: str = "") -> None:
        """Take back what is there, as an operator would."""
        wanted = (service or self.releasing.service, environment, "customers complain", "dora", release)
        self.launch("rollback", lambda: rollback.fn(*wanted))

    def reversible(self) -> list[tuple[str, str]]:
        """List where an operator's rollback has something to take back."""
        found = []
        for service, where in self.versions():
            settled = self.standing(service, where).settled
            if len(settled) > 1 and settled[-1].way == "release":
                found.append((service, where))
        return found

    def come_to_rest(self) -> None:
        """Sweep every minute, and run what sweeps start, until nothing is left to do."""
        for _ in range(LONGEST):
            self.clock.sleep(MINUTE)
            self.sweep()
            if self.random.random() < 0.9:  # else the runner is busy
                self.follow()
            if not self.prefect.due and all(map(self._rests, self.states())) and self.sunday():
                return
        unfinished = [f"{it.release} is {it.phase}" for it in self.states() if not self._rests(it)]
        self.broken.append(f"it comes to rest: after {LONGEST} sweeps {', '.join(unfinished) or 'runs are waiting'}")

    def sunday(self) -> bool:
        """Run the drill of the week when it is due, and nobody is asleep meanwhile; False: it failed."""
        if not self.stack and self.clock.now() - self.drilled > WEEK:
            if self.launch("drill", drill.fn) != "completed":
                return False
            self.drilled = self.clock.now()
        return True

    def astray(self) -> list[str]:
        """List replicas and routes that belong to nothing that serves, nor to a release that waits for a person."""
        stuck = {(it.service, it.environment) for it in self.states() if it.phase == "stuck"}
        found: list[str] = []
        for service, where in ((service, where) for service in self.desks for where in ENVIRONMENTS):
            if (service, where) in stuck:
                continue
            serving = self.standing(service, where).serving
            wanted = serving and (serving.deployment.release, serving.deployment.slot)
            found += [r.name for r in self.workload.running(service, where) if (r.release, r.slot) != wanted]
            route = self.router._routes.get(f"{service}-{where}")
            found += [route.name] if route and (route.blue or route.green) and not serving else []
        return found

    def tidy_up(self) -> list[str]:
        """Let the sweep clear away what nobody owns; tells what that was."""
        if astray := self.astray():
            self.tidies = True
            self.sweep()
            self.tidies = self.shape.tidy
        return astray

    def states(self) -> list[ReleaseState]:
        """Tell what every release is in by the journal."""
        return list(state.fold(self.journal.entries(kinds=("opened", "planned", "entered"))).values())

    def standing(self, service: str, environment: str) -> Standing:
        """Tell what stands by the journal."""
        return standing.fold(self.journal.entries(service=service, environment=environment))

    def versions(self) -> dict[tuple[str, str], str]:
        """Tell which version serves where, by what runs; empty where nothing does."""
        return {(service, where): self._version(service, where) for service in self.desks for where in ENVIRONMENTS}

    def facts(self) -> list[Entry]:
        """List everything that was written about services; a sweep's own turn is left out."""
        return [entry for entry in self.journal.entries() if entry.service in self.desks]

    def _version(self, service: str, environment: str) -> str:
        route = self.router._routes.get(f"{service}-{environment}")
        running = self.workload.running(service, environment)
        return next((r.version for r in running if route and r.slot == route.leading), "")

    def waits(self, release: ReleaseState) -> bool:
        """Tell whether a release stands in line behind one that waits for a person."""
        run = last_run(self.journal.entries(release=release.release, kinds=("lease taken",)))
        return self.prefect.ends.get(run) == "waiting" and any(it.phase == "stuck" for it in self.states())

    def _rests(self, release: ReleaseState) -> bool:
        """Tell whether nothing more happens to a release by itself, or whether a living process sees to it."""
        carrier = self.leases.holder(release.service, carrier_of(release.release))
        if self.stack and carrier and carrier.expires_in > 0 and not carrier.owner.endswith(HANDED_OVER):
            return True
        if self.waits(release):
            return True
        if release.phase == "stuck":
            parked = self.leases.holder(release.service, release.environment)
            return parked is not None and parked.release == release.release and parked.expires_in > 0
        return release.over
