"""Read one migration and its way back, and find what would hurt."""

import shlex
from collections.abc import Iterator, Mapping, Sequence

from domain.schema.change import Change
from domain.schema.classify import classify
from domain.schema.consumer import Consumer, hurt
from domain.schema.grammar import Fault, Statement, parse
from domain.schema.header import Allowance, read_header
from domain.schema.impact import Finding, Impact
from domain.schema.migration import Migration
from domain.schema.rules import RULES
from domain.schema.tool import words

_BOTH_WAYS = frozenset({"opaque", "own-transaction", "search-path", "cascade"})  # as wrong on the way back
_UNBATCHED = frozenset({"backfill", "mass-update"})  # a batch locks few rows, and not for long
_WHOLE_SCRIPT = frozenset({"missing-down", "expand-stays", "not-undone"})  # an answer may stand anywhere in it


def lint(step: Migration, consumers: Sequence[Consumer] = ()) -> Impact:
    """Classify every statement, and hold both scripts against the rules; a reason beside a statement answers."""
    if step.by == "tool":
        return Impact(
            migration=step.label,
            changes=(Change(what=f"`{shlex.join(words(step.up))}` by the image's own tool", kind="opaque"),),
            findings=(),
        )
    up, down = f"{step.label}.up.sql", f"{step.label}.down.sql"
    statements = parse(step.sql)
    if isinstance(statements, Fault):
        found = (_finding("syntax", up, statements.line, statements.says),)
        return Impact(migration=step.label, changes=(), findings=found)
    changes = classify(statements)
    forth = [*_of_changes(up, step, changes), *_of_script(up, step, changes), *_of_consumers(up, changes, consumers)]
    back = list(_of_down(down, step, changes))
    if step.down is None and changes:
        forth.append(_finding("expand-stays" if step.phase == "expand" else "missing-down", up, 1, step.label))
    answered = [*_answer(up, step.up, statements, forth), *_answer(down, step.down or "", parse(step.down or ""), back)]
    return Impact(migration=step.label, changes=changes, findings=tuple(sorted(answered, key=_place)))


def _place(finding: Finding) -> tuple[bool, int]:
    return finding.file.endswith(".down.sql"), finding.line


def _finding(rule: str, file: str, line: int, what: str) -> Finding:
    return Finding(rule=rule, severity=RULES[rule].severity, file=file, line=line, what=what)


def _of_changes(file: str, step: Migration, changes: Sequence[Change]) -> Iterator[Finding]:
    for change in changes:
        broken = [rule for rule in change.hazards if step.batch is None or rule not in _UNBATCHED]
        yield from (_finding(rule, file, change.line, change.what) for rule in broken)


def _of_script(file: str, step: Migration, changes: Sequence[Change]) -> Iterator[Finding]:
    """Look at what only shows in the whole script: its phase, and what one transaction gathers."""
    held: dict[str, Change] = {}
    for change in changes:
        takes = change.kind == "contract" and step.phase != "contract"
        if takes or (change.adds and step.phase == "contract"):
            what = f"{change.what} ({change.kind}) in phase={step.phase}"
            yield _finding("wrong-phase", file, change.line, what)
        if step.transactional:
            yield from _of_transaction(file, change, held)
            strong = {lock.relation for lock in change.locks if lock.strong}
            held |= dict.fromkeys(strong - held.keys(), change)
        elif change.transactional and len(changes) > 1:
            yield _finding("half-done", file, change.line, change.what)


def _of_transaction(file: str, change: Change, held: Mapping[str, Change]) -> Iterator[Finding]:
    """Look at a change under the locks that earlier statements hold until the transaction ends."""
    if not change.transactional:
        yield _finding("concurrently-in-transaction", file, change.line, change.what)
    strong = {lock.relation for lock in change.locks if lock.strong}
    earlier = {table: taken for table, taken in held.items() if taken.statement < change.statement}
    if change.slow and change.on in earlier and change.on not in strong:
        what = f"{change.what}, under the lock of {earlier[change.on].what}"
        yield _finding("work-under-lock", file, change.line, what)
    if earlier and strong - held.keys():
        what = f"{change.what}, while {', '.join(sorted(earlier))} is locked"
        yield _finding("several-locks", file, change.line, what)


def _of_consumers(file: str, changes: Sequence[Change], consumers: Sequence[Consumer]) -> Iterator[Finding]:
    for change in changes:
        if found := ", ".join(f"{one.name} (ask {one.owner})" for one in hurt(consumers, change)):
            yield _finding("consumer", file, change.line, f"{change.what} is read by {found}")


def _of_down(file: str, step: Migration, ups: Sequence[Change]) -> Iterator[Finding]:
    """Hold the way back against the way there: each change that has an inverse must find it."""
    if step.down is None:
        return
    statements = parse(step.down)
    if isinstance(statements, Fault):
        yield _finding("syntax", file, statements.line, statements.says)
        return
    downs = classify(statements)
    for change in downs:
        yield from (_finding(rule, file, change.line, change.what) for rule in change.hazards if rule in _BOTH_WAYS)
    done = [change.what for change in downs]
    gone = {change.on for change in downs if change.what.startswith("drop ") and change.on in change.what.split(" ")}
    if any(change.kind == "opaque" for change in downs):
        return
    for up in ups:
        if up.undone_by and up.on not in gone and not any(_undoes(one, up.undone_by) for one in done):
            yield _finding("not-undone", file, 1, f"{up.what}: nothing says `{up.undone_by.rstrip(' .')}`")


def _undoes(said: str, wanted: str) -> bool:
    return said.startswith(wanted) if wanted.endswith((".", " ")) else said == wanted


def _answer(
    file: str, script: str, statements: tuple[Statement, ...] | Fault, findings: Sequence[Finding]
) -> Iterator[Finding]:
    """Give each finding the reason that stands beside its statement; a reason that meets none is a finding, too."""
    _, allowances = read_header(file, script, [])
    spans = [] if isinstance(statements, Fault) else [(one.line, one.end) for one in statements]
    used: set[Allowance] = set()
    for finding in findings:
        meant = [one for one in allowances if one.rule == finding.rule]
        fits = (one for one in meant if finding.rule in _WHOLE_SCRIPT or _beside(one, finding.line, spans))
        if answer := next(fits, None):
            used.add(answer)
        yield finding.model_copy(update={"reason": answer and answer.reason})
    for unused in allowances:
        if unused not in used:
            yield _finding("unused-allow", file, unused.line, f"allow={unused.rule}")


def _beside(allowance: Allowance, line: int, spans: Sequence[tuple[int, int]]) -> bool:
    """Tell whether a comment stands in the statement that starts on a line, or above it."""
    return next((start for start, end in spans if end >= allowance.line), None) == line
