"""What becomes of a release whose run is gone: go on, undo, stop, or hold and call a person; decided from the journal.

| the journal says | the run died | a step had failed, somebody cancelled it, or nobody answered |
|---|---|---|
| nothing was done to an environment | go on | stop cleanly |
| candidate on its way or up, no traffic | go on | undo |
| some traffic shifted, judge unfinished | go on with the evidence, undo when nobody watched for too long | undo |
| all traffic shifted | finish forward | undo |
| an undo is under way | finish the undo | finish the undo |
| stuck | hold | hold |

A recovery that brings nothing forward is tried a few times, and then answered with an undo, or held.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from domain.facts import Done, Entered, Entry, Failed, Intended, Looked, NotCounted, Phase, Recovered, Superseded
from domain.lease import Lease
from domain.release.outcomes import Routed
from domain.release.queue import superseded_by
from domain.release.recall import open_gate, phase_of, plan_of, round_of
from domain.release.route import other
from domain.release.state import OVER, ReleaseState
from domain.value import Seconds, Value

HANDED_OVER = "/sweep"
"""How the owner of a lease ends that the sweep took over and hands on to the run it starts."""

Fate = Literal["died", "cancelled", "failed"]
Action = Literal["leave", "go on", "undo", "abort", "hold"]


class Limits(Value):
    """How far recovery goes by itself."""

    dark: Seconds = Field(default=600.0, gt=0, description="longest time a canary may have gone unwatched to go on")
    attempts: int = Field(default=3, ge=1, description="recoveries in a row that may bring nothing forward")


class Decision(Value):
    """What to do with a release, and why."""

    action: Action
    reason: str
    environment: str = ""


def decide(entries: Sequence[Entry], fate: Fate, dark: float, limits: Limits) -> Decision:
    """Decide from a release's own entries, how its run ended, and for how long (seconds) nothing has watched it."""
    phase, environment, tries = phase_of(entries), _environment(entries), _in_vain(entries)
    in_vain = f"{tries} recoveries in a row brought it no further" if tries >= limits.attempts else ""
    gave_up = in_vain or _given_up(fate, entries)
    action, reason = _decide(phase, entries, environment, gave_up, in_vain, dark, limits)
    return Decision(action=action, reason=reason, environment=environment)


def _decide(
    phase: Phase | None,
    entries: Sequence[Entry],
    environment: str,
    gave_up: str,
    in_vain: str,
    dark: float,
    limits: Limits,
) -> tuple[Action, str]:
    if phase in OVER:
        return "leave", f"the release is {phase}"
    if phase == "stuck":
        return "hold", "the way back is stuck and waits for a person"
    if phase == "rolling back":
        return ("hold", in_vain) if in_vain else ("undo", "the undo was under way: it is finished")
    if phase in ("deploying", "baking"):
        return ("undo", gave_up) if gave_up else _under_way(entries, environment, dark, limits)
    return ("abort", gave_up) if gave_up else ("go on", f"{phase or 'opened'}: no environment is half changed")


def seems_lost(state: ReleaseState, carrier: Lease | None, environment: Lease | None) -> bool:
    """Tell from the leases alone whether nobody carries an unfinished release; a parked one may be lost all the same.

    A stuck release needs no run, but its environment must stay held.
    """
    if state.over:
        return False
    watched = environment if state.phase == "stuck" else carrier
    return watched is None or watched.expires_in <= 0


def _under_way(entries: Sequence[Entry], environment: str, dark: float, limits: Limits) -> tuple[Action, str]:
    """Decide where the release has changed an environment, or begun to."""
    share = _share(entries, environment)
    looks = sum(isinstance(e.fact, Looked) and e.environment == environment for e in entries)
    if share == 0:
        return "go on", "no traffic has reached the candidate yet"
    if share == 10_000:  # all of it, in basis points
        return "go on", "all traffic is on the new version: finish forward"
    if dark > limits.dark:
        return "undo", f"{share / 100:g} % of traffic went unwatched for {dark:.0f} s: its evidence cannot be continued"
    return "go on", f"the ramp goes on at {share / 100:g} % with the {looks} s of evidence in the journal"


def _given_up(fate: Fate, entries: Sequence[Entry]) -> str:
    """Say why nobody wants it to go on; empty when nobody said so."""
    if by := _superseded_by(entries):
        return f"superseded by {by}"
    if fate == "cancelled":
        return "somebody cancelled the run in Prefect; whoever it was may say why: interlock remark RELEASE …"
    steps = (e.fact for e in reversed(entries) if isinstance(e.fact, Intended | Done | Failed))
    if isinstance(last := next(steps, None), Failed):
        return f"{last.verb} failed before the run did: {last.message}"
    gate = open_gate(entries)
    if fate == "failed" and gate and not round_of(entries, gate)[1]:
        return f"nobody answered in time: {gate.question} in {gate.environment}"
    return ""


def _superseded_by(entries: Sequence[Entry]) -> str:
    """Name the release that took the place of this one, somewhere, before it touched traffic there."""
    places = {(e.environment, e.release) for e in entries if isinstance(e.fact, Superseded)}
    return next((by for place in sorted(places) if (by := superseded_by(entries, *place))), "")


def _share(entries: Sequence[Entry], environment: str) -> int:
    """Tell how much traffic the release's candidate has by the journal, in basis points."""
    plan = plan_of(entries)
    shifted = [
        Routed.model_validate(e.fact.outcome).route
        for e in entries
        if isinstance(e.fact, Done) and e.fact.verb in ("attach", "shift") and e.environment == environment
    ]
    if plan is None or not shifted:
        return 0
    slot = plan.stage(environment).slot
    alone = not shifted[-1].endpoints(other(slot))  # a first release has all traffic there is
    return 10_000 if alone else shifted[-1].share(slot)


def _environment(entries: Sequence[Entry]) -> str:
    return next((e.environment for e in reversed(entries) if isinstance(e.fact, Entered) and e.environment), "")


def _in_vain(entries: Sequence[Entry]) -> int:
    """Count the recoveries since the release last got further."""
    count = 0
    for entry in entries:
        if isinstance(entry.fact, Recovered):
            count += 1
        elif isinstance(entry.fact, Done | Entered | Looked | NotCounted):
            count = 0
    return count
