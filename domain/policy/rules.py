"""The rules a plan must pass: each has an id and answers with a reason; an error denies."""

import re
from collections.abc import Callable, Mapping

from domain.errors import Refused
from domain.policy.approval import seats_text
from domain.policy.people import People
from domain.release.plan import Plan, PolicyVerdict, Stage
from domain.schema.impact import refusals, torn

Rule = Callable[[Plan, People], str | None]
_SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|CREDENTIAL|PRIVATE)", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"://[^/\s:@]+:[^/\s@]+@|AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----")


def requester_is_known(plan: Plan, people: People) -> str | None:
    """Whoever asks is in people.yaml, so that separation of duties can be checked."""
    if people.named(plan.request.requester) is None:
        known = ", ".join(sorted(person.name for person in people.people)) or "nobody yet"
        return f"{plan.request.requester!r} is not in people.yaml (known: {known})"
    return None


def gates_can_be_passed(plan: Plan, people: People) -> str | None:
    """Every gate has enough people who neither asked for the release nor wrote it."""
    blocked = barred(plan)
    for stage in plan.stages:
        free = [p for p in people.people if p.keys and not {p.name, p.email} & blocked]
        for seat in stage.profile.seats:
            if not any(set(p.roles) & set(seat) for p in free):
                wanted = seats_text(stage.profile.seats)
                return f"{stage.environment} asks for {wanted}, but nobody left holds {' or '.join(seat)}"
    return None


def secrets_are_references(plan: Plan, people: People) -> str | None:  # noqa: ARG001  # every rule sees the same
    """No configuration value is a secret in clear."""
    for stage in plan.stages:
        for key, value in stage.config.items():
            looks_secret = _SECRET_NAME.search(key) or _SECRET_VALUE.search(value)
            if looks_secret and not value.startswith("secret://"):
                return f"{stage.environment}: {key} holds its value in clear; write a secret://… reference"
    return None


def one_schema_phase(plan: Plan, people: People) -> str | None:  # noqa: ARG001  # every rule sees the same
    """Expand and contract never travel in one release: the old version must run on the new schema."""
    for stage in plan.stages:
        if both := torn(stage.schema_steps):
            return f"{stage.environment}: {both}; release the expand part first"
    return None


def schema_is_answered(plan: Plan, people: People) -> str | None:  # noqa: ARG001  # every rule sees the same
    """What the schema lint finds is mended, or accepted with a reason, where something serves already."""
    found = [one for stage in plan.stages if stage.previous for one in refusals(stage.impacts)]
    return "; ".join(dict.fromkeys(one.says for one in found)) or None


def way_back_is_set(plan: Plan, people: People) -> str | None:  # noqa: ARG001  # every rule sees the same
    """A schema step that the old version may not survive needs a down script."""
    for stage in plan.stages:
        for step in stage.schema_steps:
            if step.phase != "expand" and step.down is None:
                return f"{stage.environment}: {step.label} is a {step.phase} step without a down script"
    return None


RULES: Mapping[str, Rule] = {
    "requester-is-known": requester_is_known,
    "gates-can-be-passed": gates_can_be_passed,
    "secrets-are-references": secrets_are_references,
    "one-schema-phase": one_schema_phase,
    "schema-is-answered": schema_is_answered,
    "way-back-is-set": way_back_is_set,
}


def hold_against(plan: Plan, people: People) -> tuple[PolicyVerdict, ...]:
    """Ask every rule about a plan."""
    verdicts = []
    for name, rule in RULES.items():
        said = (rule.__doc__ or "").strip().rstrip(".")
        reason = rule(plan, people)
        verdicts.append(PolicyVerdict(rule=name, verdict="deny" if reason else "allow", reason=reason or said))
    return tuple(verdicts)


def insist(verdicts: tuple[PolicyVerdict, ...]) -> None:
    """Raise Refused with the id and reason of every rule that denies."""
    if denied := [f"{v.rule}: {v.reason}" for v in verdicts if v.verdict == "deny"]:
        raise Refused("the plan is refused\n" + "\n".join(denied), "mend what each rule names and plan again")


def barred(plan: Plan) -> frozenset[str]:
    """Name who may not approve: the requester and every author of a change (separation of duties)."""
    return frozenset({plan.request.requester, *plan.authors})


def schema_words(stage: Stage) -> str:
    """Say what happens to the schema in one line."""
    return ", ".join(f"{step.label} ({step.phase})" for step in stage.schema_steps) or "no change"
