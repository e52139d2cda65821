"""What a migration says about itself, in comments.

-- interlock: phase=expand|migrate|contract tx=on|off timeout=30s     once, on a line of its own
-- interlock: phase=migrate batch=5000 pause=100ms timeout=30s        see domain/schema/batched.py
-- interlock: allow=RULE reason="why"                                 on the statement, or on a line above it
"""

import re
from collections.abc import Iterator
from typing import Literal

from domain.schema.batched import wrong as wrong_batch
from domain.schema.rules import RULES
from domain.value import Value, seconds

Phase = Literal["expand", "migrate", "contract"]
_PHASES = ("expand", "migrate", "contract")
_COMMENT = re.compile(r"^\s*--\s*interlock:\s*(.*)$|[\s;]--\s*interlock:\s*(allow=.*)$")
_WORD = re.compile(r'([^\s="]+)=("[^"]*"|[^\s"]+)(?=\s|$)|\S+')
_ALLOWANCE = re.compile(r"^[^\S\n]*--\s*interlock:[^\S\n]*allow=.*\n?", re.MULTILINE)
_HEAD = {"phase", "tx", "timeout", "batch", "pause"}


class Header(Value):
    """How a migration is run."""

    phase: Phase = "expand"
    transactional: bool = True
    timeout: float = 30.0
    batch: int | None = None
    pause: float = 0.0


class Allowance(Value):
    """One finding that a person accepts, with the reason."""

    rule: str
    reason: str
    line: int


def read_header(file: str, script: str, problems: list[str]) -> tuple[Header, tuple[Allowance, ...]]:
    """Read every `-- interlock:` comment; what is wrong is added to `problems` as `file:line: what`."""
    head: dict[str, str] = {}
    allowances = []
    for line, text in _comments(script):
        place = f"{file}:{line}"
        words = _words(place, text, problems)
        problems += [f"{place}: {key} is given twice" for key in sorted(words.keys() & head.keys())]
        unknown = sorted(words.keys() - _HEAD - {"allow", "reason"})
        problems += [f"{place}: header key {key!r} is unknown" for key in unknown]
        head |= {key: words[key] for key in words.keys() & _HEAD}
        if {"allow", "reason"} & words.keys() and (allowance := _allowance(place, line, words, problems)):
            allowances.append(allowance)
        problems += _wrong(place, words)
    problems += [f"{file}: {said}" for said in wrong_batch(head, script, forth=not file.endswith(".down.sql"))]
    return _header(head), tuple(allowances)


def _header(words: dict[str, str]) -> Header:
    """Take what is well formed; the rest has been told."""
    phase, batch = words.get("phase"), words.get("batch", "")
    known = {"phase": phase if phase in _PHASES else "expand", "transactional": words.get("tx") != "off"}
    times = {key: seconds(words.get(key)) for key in ("timeout", "pause")}
    known |= {key: time for key, time in times.items() if isinstance(time, float)}
    return Header.model_validate(known | ({"batch": int(batch)} if batch.isdecimal() else {}))


def without_allowances(script: str) -> str:
    """Leave out the lines that only accept findings: an answer may be added to a migration that was applied."""
    return _ALLOWANCE.sub("", script)


def _comments(script: str) -> Iterator[tuple[int, str]]:
    for line, text in enumerate(script.split("\n"), 1):
        if found := _COMMENT.search(text):
            yield line, found[1] or found[2] or ""


def _words(place: str, text: str, problems: list[str]) -> dict[str, str]:
    words = {}
    for found in _WORD.finditer(text):
        if found[1] is None:
            problems.append(f"{place}: {found[0]!r} is not key=value")
        else:
            words[found[1]] = found[2].strip('"')
    return words


def _wrong(place: str, words: dict[str, str]) -> Iterator[str]:
    if words.get("phase", "expand") not in _PHASES:
        yield f"{place}: phase={words['phase']} must be expand, migrate or contract"
    if words.get("tx", "on") not in ("on", "off"):
        yield f"{place}: tx={words['tx']} must be on or off"
    if not isinstance(seconds(words.get("timeout", "30s")), float):
        yield f"{place}: timeout={words['timeout']} must be a duration such as 30s"


def _allowance(place: str, line: int, words: dict[str, str], problems: list[str]) -> Allowance | None:
    rule, reason = words.get("allow", ""), words.get("reason", "").strip()
    if rule not in RULES:
        problems.append(f"{place}: allow={rule}: there is no such rule")
    elif not reason:
        problems.append(f'{place}: allow={rule} needs a reason="…"')
    else:
        return Allowance(rule=rule, reason=reason, line=line)
    return None
