"""The numbers behind the chart, as tables of words: for the report's page and for Prefect's."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.canary.account.headline import Names, crossed, duration, latest_beside, milliseconds, odds, percent
from domain.canary.account.trace import Total, Trace
from domain.canary.criteria import Criteria
from domain.canary.tick import Arm
from domain.canary.verdict import Finding

_MEASURED = ("requests", "failed", "part", "half within", "9 of 10 within", "99 of 100 within")
_BOTH: tuple[Arm, Arm] = ("candidate", "stable")


@dataclass(frozen=True)
class Table:
    """A table with its title and how to read it."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def decisions(told: Trace, names: Names) -> Table:
    """List what was decided, when and why."""
    rows = [
        (
            _when(it.at),
            duration(it.looks),
            f"{it.share / 100:g} %",
            it.verdict.decision + (f" {it.verdict.host}" if it.verdict.host else ""),
            "; ".join(names.within(reason) for reason in it.verdict.reasons),
        )
        for it in told.said
    ]
    return Table("What was decided", "", ("when", "watched", "traffic", "decision", "why"), rows)


def steps(told: Trace, names: Names) -> Table:
    """List the shares of traffic one after the other, with their times."""
    rows = [
        (
            f"{it.share / 100:g} %",
            _when(it.began),
            _when(it.ended),
            duration(it.looks),
            *(f"{total.bad} of {total.requests}" for total in (it.arms[arm] for arm in _BOTH)),
        )
        for it in told.stretches
    ]
    failed = tuple(f"{names.arm(arm)} failed" for arm in _BOTH)
    return Table("Traffic, step by step", "", ("traffic", "from", "to", "watched", *failed), rows)


def versions(told: Trace, names: Names) -> Table:
    """Compare both versions; one with all traffic with what was beside it."""
    if not told.stretches:
        return Table("Both versions", "", ("version", *_MEASURED), [])
    now, beside = told.stretches[-1], latest_beside(told)
    rows = [
        (names.candidate, *_measured(now.arms["candidate"])),
        (names.stable, *_measured(beside.arms["stable"])),
    ]
    note = "" if now is beside else f"{names.stable} as it was at {beside.share / 100:g} %"
    return Table("Both versions", note, ("version", *_MEASURED), rows)


def evidence(told: Trace, _names: Names) -> Table:
    """List every kind of evidence at each decision, and as it stands while none is made, with what it takes."""
    at = [(said.share, said.verdict.findings) for said in told.said]
    if told.decided is None and told.stretches:
        at.append((told.stretches[-1].share, told.last.findings))
    rows = [(f"{share / 100:g} %", *_found(it)) for share, findings in at for it in findings]
    note = "odds that it is no accident; harm sends back, health lets more traffic follow"
    columns = ("traffic", "evidence", "odds", "needed", "", "times as many failures, 95 % certain")
    return Table("Evidence", note, columns, rows)


def replicas(told: Trace, names: Names) -> Table:
    """List every replica over the whole time."""
    rows = [(names.arm(arm), replica, *_measured(total)) for (arm, replica), total in sorted(told.replicas.items())]
    return Table("Every replica", "over the whole time", ("version", "replica", *_MEASURED), rows)


def asked(criteria: Criteria) -> Table:
    """List the criteria, each with what it means."""
    plain = criteria.model_dump(mode="json")
    rows = [(key, _plain(plain[key]), field.description or "") for key, field in Criteria.model_fields.items()]
    return Table("What was asked", "the judge's criteria, as the plan has them", ("key", "value", "meaning"), rows)


def _measured(total: Total) -> tuple[str, ...]:
    within = (milliseconds(total.within(q)) for q in (0.5, 0.9, 0.99))
    return f"{total.requests}", f"{total.bad + total.repeated}", percent(total.rate), *within


def _found(it: Finding) -> tuple[str, ...]:
    interval = ""
    if it.low is not None:
        interval = f"{it.low:.3g} to {it.high:.3g}" if it.high is not None else f"at least {it.low:.3g}"
    return it.metric, odds(it.ln_e), odds(it.needed), "enough" if crossed(it) else "", interval


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(part)}" for key, part in value.items()) or "none"
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _when(at: str) -> str:
    return f"{at[:10]} {at[11:19]} UTC"
