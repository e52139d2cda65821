"""A plan as a person reads it: what runs now, what will run, why it may, and how it comes back."""

from domain.policy.approval import seats_text
from domain.policy.rules import schema_words
from domain.release.plan import Plan, Stage
from domain.schema.impact import Finding
from domain.value import Value


class Row(Value):
    """One line of the diff."""

    what: str
    now: str
    then: str

    @property
    def changed(self) -> bool:
        """Tell whether this line is a change."""
        return self.now != self.then


def rows(plan: Plan, stage: Stage) -> tuple[Row, ...]:
    """Compare a stage with what runs there now."""
    old = stage.previous.deployment if stage.previous else None
    profile = stage.profile
    resources = profile.resources
    return (
        Row(what="version", now=old.version if old else "–", then=plan.version),
        Row(
            what="artifact",
            now=old.artifact.digest[:19] if old else "–",
            then=f"built from {plan.commit.sha[:12]}"
            if not plan.source_tag
            else f"{plan.source_tag} ({plan.commit.sha[:12]})",
        ),
        Row(what="schema", now="as it is", then=schema_words(stage) if stage.schema_steps else "as it is"),
        *_schema_rows(stage),
        *_config_rows(old.config if old else {}, stage.config),
        Row(what="replicas", now=str(old.replicas) if old else "–", then=str(profile.replicas)),
        Row(
            what="resources",
            now=f"{old.resources.cpus} cpu, {old.resources.memory}" if old else "–",
            then=f"{resources.cpus} cpu, {resources.memory}",
        ),
        Row(what="traffic", now=f"slot {old.slot}" if old else "–", then=f"slot {stage.slot}: {ramp_words(stage)}"),
        *([Row(what="start", now="", then=stage.start)] if stage.start else []),
        Row(what="approvals", now="", then=seats_text(profile.seats) or "none"),
        Row(what="checks", now="", then=", ".join(sorted(stage.checks)) or "none"),
        Row(what="bake", now="", then=f"{profile.rollout.bake:.0f} s" if stage.judged else "none: nothing to judge by"),
    )


def _schema_rows(stage: Stage) -> tuple[Row, ...]:
    """List what each schema step does to the tables, and what the lint found, with the answers of people."""
    changes = [Row(what="schema change", now="", then=change.says) for one in stage.impacts for change in one.changes]
    found = [finding for one in stage.impacts for finding in one.findings]
    return (*changes, *(Row(what=f"schema {one.severity}", now="", then=_answered(one)) for one in found))


def _answered(finding: Finding) -> str:
    return f"{finding.says} (accepted: {finding.reason})" if finding.reason else finding.says


def _config_rows(now: dict[str, str], then: dict[str, str]) -> tuple[Row, ...]:
    keys = sorted(k for k in now.keys() | then.keys() if now.get(k) != then.get(k))
    return tuple(Row(what=f"config {key}", now=now.get(key, "–"), then=then.get(key, "removed")) for key in keys)


def ramp_words(stage: Stage) -> str:
    """Say how traffic moves: `canary 10 → 50 → 100 %, judged on traffic`."""
    shares = " → ".join(f"{share / 100:g}" for share in stage.ramp)
    shares += " → bake → 100" if stage.ramp[-1] < 10_000 else ""
    by = "judged on traffic" if stage.judged else "on checks alone"
    first = "first release, " if stage.previous is None else ""
    return f"{first}{stage.profile.rollout.strategy} {shares} %, {by}"


def way_back_rows(stage: Stage) -> tuple[tuple[str, str], ...]:
    """List the way back, plane by plane."""
    back = stage.way_back
    return (("traffic", back.traffic), ("code", back.code), ("config", back.config), ("data", back.data))


def markdown(plan: Plan) -> str:
    """Render the plan for the Prefect page."""
    lines = [
        f"# {plan.service} {plan.version}",
        f"plan `{plan.hash}`",
        "",
        f"asked for by **{plan.request.requester}**" + (f": {plan.request.reason}" if plan.request.reason else ""),
        "",
        *(f"- {subject}" for subject in plan.changelog),
        "",
        f"Rolls back above {plan.criteria.error_ratio:g} × the stable error rate and above "
        f"{plan.criteria.error_floor:.2%}; success: "
        + ", ".join(f"{m.name} {target_words(m.at_least, m.at_most)}" for m in plan.success),
    ]
    for stage in plan.stages:
        lines += ["", f"## {stage.environment}", "", "| | now | then |", "|---|---|---|"]
        lines += [f"| {_mark(row)} | {_cell(row.now)} | {_cell(row.then)} |" for row in rows(plan, stage)]
        lines += ["", "| way back | |", "|---|---|"]
        lines += [f"| {plane} | {_cell(words)} |" for plane, words in way_back_rows(stage)]
    lines += ["", "## Policies", "", "| rule | verdict | reason |", "|---|---|---|"]
    lines += [f"| {v.rule} | {v.verdict} | {_cell(v.reason)} |" for v in plan.verdicts]
    return "\n".join(lines) + "\n"


def target_words(at_least: float | None, at_most: float | None) -> str:
    """Say a target: `≥ 0.995` or `≤ 1500`."""
    return f"≥ {at_least:g}" if at_least is not None else f"≤ {at_most:g}"


def _mark(row: Row) -> str:
    return f"**{row.what}**" if row.changed and row.now else row.what


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
