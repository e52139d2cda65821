"""Watch the traffic and decide; every look is a fact, so that a restart loses no evidence."""

from domain.canary.calibration import known
from domain.canary.criteria import Criteria
from domain.canary.judge import Judge, hold, witnessed
from domain.canary.residual import NO_PAST
from domain.canary.season import past_of
from domain.canary.sitting import Sitting
from domain.canary.tick import Tick
from domain.canary.verdict import Verdict
from domain.errors import Rejected
from domain.facts import Judged, Looked
from domain.ports import Journal, Router, Samples
from domain.release.plan import Plan, Stage
from domain.release.recall import bake_of, good_bakes
from domain.release.route import Route
from tasks.step import Warrant, look


@look
def judge(
    warrant: Warrant, plan: Plan, stage: Stage, route: Route, share: int, following: int, router: Router, extra: int = 0
) -> Verdict:
    """Watch one share of traffic until more may follow, or patience ends; shares in basis points.

    `extra` counts how often people granted another patience after a hold. Returns `promote` or
    `hold`. Raises Rejected when the candidate must go back.
    """
    if known := _concluded(warrant, share):
        return known
    patience = stage.profile.rollout.patience * (1 + extra)
    sitting = Sitting(judge_of(warrant.journal, plan, warrant.release, stage.environment))
    waited = _recall(sitting, warrant, share)
    with router.samples(route, stage.slot) as samples:
        while True:
            verdict = sitting.look(share, following, _seen(warrant, samples, share, following))
            waited += 1
            if verdict.decision == "continue" and waited >= patience:
                verdict = hold(verdict, waited)
            early = verdict.decision == "promote" and waited < stage.profile.rollout.at_least
            if verdict.decision != "continue" and not early:
                return _conclude(warrant, share, verdict)


@look
def bake(warrant: Warrant, plan: Plan, stage: Stage, route: Route, router: Router, extra: int = 0) -> Verdict:
    """Watch the promoted version for the declared time; seconds already watched before a restart count.

    Returns `promote`, or `hold`: no request was seen, a replica is broken, or the comparison with what is held back
    needs a person. Raises Rejected when it must go back.
    """
    share = stage.ramp[-1]
    if known := _concluded(warrant, share):
        return known
    sitting = Sitting(judge_of(warrant.journal, plan, warrant.release, stage.environment))
    waited = _recall(sitting, warrant, share)
    with router.samples(route, stage.slot) as samples:
        while True:
            verdict = sitting.look(share, share, _seen(warrant, samples, share, share))
            waited += 1
            if verdict.decision not in ("continue", "promote"):
                return _conclude(warrant, share, verdict)
            if waited >= stage.profile.rollout.bake * (1 + extra):
                decided = (
                    verdict.model_copy(update={"decision": "promote"}) if witnessed(verdict) else hold(verdict, waited)
                )
                return _conclude(warrant, share, decided)


def judge_of(journal: Journal, plan: Plan, release: str, environment: str, criteria: Criteria | None = None) -> Judge:
    """Have a judge who knows what was seen before: how much healthy replicas differ, and what is usual in a bake.

    The plan's criteria are taken, unless others are given.
    """
    criteria, previous = criteria or plan.criteria, plan.stage(environment).previous
    serving = journal.entries(release=previous.deployment.release, kinds=("looked",)) if previous else []
    usual = NO_PAST
    if criteria.season:  # every look there ever was: nobody else reads them
        ever = journal.entries(service=plan.service, environment=environment, kinds=("looked", "judged"))
        usual = past_of(good_bakes(ever, release))
    return Judge(criteria, known(bake_of(serving, environment), "candidate", criteria.spread), usual)


def _recall(sitting: Sitting, warrant: Warrant, share: int) -> int:
    """Feed what was seen before; return how many seconds of it were at this share."""
    entries = warrant.journal.entries(release=warrant.release, kinds=("looked", "judged"))
    before = sitting.recall(entries, warrant.environment)
    return sum(verdict is not None and verdict.numbers["share"] == share / 10_000 for _, verdict in before)


def _seen(warrant: Warrant, samples: Samples, share: int, following: int) -> Tick:
    tick = samples.tick()
    warrant.record(Looked(share=share, next_share=following, tick=tick))
    return tick


def _conclude(warrant: Warrant, share: int, verdict: Verdict) -> Verdict:
    if verdict.decision == "drain":
        verdict = verdict.model_copy(update={"decision": "hold"})
    warrant.record(Judged(share=share, verdict=verdict))
    return _obeyed(share, verdict)


def _concluded(warrant: Warrant, share: int) -> Verdict | None:
    """Recall what was decided at this share before a restart: traffic may have moved on. A hold decides nothing."""
    entries = warrant.journal.entries(release=warrant.release, environment=warrant.environment, kinds=("judged",))
    verdicts = [e.fact.verdict for e in entries if isinstance(e.fact, Judged) and e.fact.share == share]
    return _obeyed(share, verdicts[-1]) if verdicts and verdicts[-1].decision != "hold" else None


def _obeyed(share: int, verdict: Verdict) -> Verdict:
    if verdict.decision == "roll back":
        raise Rejected(f"the judge rolls back at {share / 100:g} %: {verdict.reasons[0]}", "see `interlock explain`")
    return verdict
