"""The three questions: who cries wolf, who finds what and when, and who is fastest at one budget."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.canary import tune
from bench.canary.entrants import ENTRANTS, TUNABLE, WITH_LATENCY
from bench.canary.measure import EVALUATION, TUNING, Course, Make, follow, seeds, times_wald
from bench.canary.scenario import ENVIRONMENTS, Fault, Scenario
from bench.canary.tune import MakeScored
from bench.canary.world import HOUR

BUDGET = 0.01  # false roll-backs per release that a tuned judge may have within the horizon

FAULTS: Mapping[str, Fault] = {
    "errors ×2": Fault(factor=2),
    "errors ×5": Fault(factor=5),
    "errors ×10": Fault(factor=10),
    "errors ×20": Fault(factor=20),
    "10 % fail": Fault(errors=0.1),
    "all fail": Fault(errors=1),
    "errors ×10 after 20 min": Fault(factor=10, onset=1200),
    "all fail after 20 min": Fault(errors=1, onset=1200),
    "one host ×10": Fault(factor=10, one_host=True),
}

LATENCY_FAULTS: Mapping[str, Fault] = {
    "latency ×1.1": Fault(latency=1.1),
    "latency ×1.25": Fault(latency=1.25),
    "latency ×2": Fault(latency=2),
    "slow path ×3": Fault(tail=3),
    "latency ×1.25 after 20 min": Fault(latency=1.25, onset=1200),
}

Row = dict[str, float | str]


@dataclass(frozen=True)
class Plan:
    """What to measure: the grid, and how thoroughly."""

    runs: int = 1000
    seed: int = 0
    horizon: int = HOUR
    look: int = 5
    rps: Sequence[float] = (50, 500)
    errors: Sequence[float] = (0.001, 0.01)
    environments: Sequence[str] = tuple(ENVIRONMENTS)
    hosts: tuple[int, int] = (2, 18)
    latency: bool = True
    tuned_in: str | None = None  # the environment that limits are tuned in, when it is not the one they are measured in

    def scenarios(self) -> Iterator[tuple[Row, Scenario]]:
        """List the grid, each with what a row says about it."""
        for name in self.environments:
            for errors in self.errors:
                for rps in self.rps:
                    candidates, stables = self.hosts
                    scenario = Scenario(
                        rps=rps,
                        errors=errors,
                        candidates=candidates,
                        stables=stables,
                        environment=ENVIRONMENTS[name],
                        look=self.look,
                    )
                    yield {"environment": name, "rps": rps, "errors": errors}, scenario

    def entrants(self) -> Mapping[str, Make]:
        """List who takes part."""
        return {**ENTRANTS, **WITH_LATENCY} if self.latency else ENTRANTS

    def evaluation(self) -> Sequence[int]:
        """Give the seeds to measure on."""
        return seeds(EVALUATION, self.runs, self.seed)


def aa(plan: Plan) -> Iterator[list[Row]]:
    """Release what is healthy: how often does each judge roll it back?"""
    for about, scenario in plan.scenarios():
        courses = follow(plan.entrants(), scenario, plan.evaluation(), plan.horizon)
        yield [{**about, "judge": name, **false_alarms(course)} for name, course in courses.items()]


def detect(plan: Plan) -> Iterator[list[Row]]:
    """Release what is broken: who finds it, when, and after how many failures?"""
    faults = {**FAULTS, **LATENCY_FAULTS} if plan.latency else FAULTS
    for about, scenario in plan.scenarios():
        for name, fault in faults.items():
            makes = WITH_LATENCY if name in LATENCY_FAULTS else plan.entrants()  # others could only be wrong
            yield _found(plan, {**about, "fault": name}, scenario.faulty(fault), makes)


def rivals(plan: Plan) -> Iterator[list[Row]]:
    """Give every judge the limit that spends the same budget, check that on other seeds, and then let them race.

    Unless told otherwise, the limit is tuned in the weather that it is measured in: more than a user could do, who has
    only the past.
    """
    for about, scenario in plan.scenarios():
        known = ENVIRONMENTS[plan.tuned_in] if plan.tuned_in else scenario.environment
        past = scenario.model_copy(update={"environment": known})
        limits = {
            name: tune.limit(make, past, BUDGET, seeds(TUNING, 4 * plan.runs, plan.seed), plan.horizon)
            for name, make in TUNABLE.items()
        }
        makes = {name: _with(TUNABLE[name], limit) for name, limit in limits.items()}
        held_out = follow(makes, scenario, seeds(EVALUATION, 4 * plan.runs, plan.seed), plan.horizon)
        wrong = {name: {"limit": limits[name], **false_alarms(course)} for name, course in held_out.items()}
        yield [{**about, "judge": name, **row} for name, row in wrong.items()]
        for name, fault in FAULTS.items():
            yield _found(plan, {**about, "fault": name}, scenario.faulty(fault), makes)


EXPERIMENTS: Mapping[str, Callable[[Plan], Iterator[list[Row]]]] = {"aa": aa, "detect": detect, "rivals": rivals}


def _with(make: MakeScored, limit: float) -> Make:
    return lambda scenario, runs: make(scenario, runs, limit)


def false_alarms(course: Course) -> Row:
    """Tell how many healthy releases were rolled back, as columns of a row."""
    share = course.false_rollbacks()
    return {"runs": share.runs, "rolled back": share.value, "error": share.error}


def _found(plan: Plan, about: Row, scenario: Scenario, makes: Mapping[str, Make]) -> list[Row]:
    courses = follow(makes, scenario, plan.evaluation(), plan.horizon)
    return [{**about, "judge": name, **detected(course, scenario)} for name, course in courses.items()]


def detected(course: Course, scenario: Scenario) -> Row:
    """Tell how a fault was found, as columns of a row."""
    found = course.detection(scenario.fault.onset)
    return {
        "runs": found.early.runs,
        "power": found.power.value,
        "error": found.power.error,
        "early": found.early.value,
        "mean s": found.mean,
        "median s": found.median,
        "p90 s": found.p90,
        "failed": found.failed,
        "× Wald": times_wald(found, scenario, BUDGET),
    }
