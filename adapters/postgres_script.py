"""SQL scripts, read as far as a migrator must: where statements end, which names occur, what may not be in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from domain.errors import Rejected

_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*)
      | (?P<comment>/\*)
      | [eE]'(?:[^'\\]|\\.|'')*'  |  '(?:[^']|'')*'  |  "(?:[^"]|"")*"
      | (?P<dollar>\$(?:[^\W\d]\w*)?\$).*?(?P=dollar)
      | (?P<word>[^\W\d][\w$]*)
      | .""",
    re.VERBOSE | re.DOTALL,
)
_WORD = re.compile(r'"((?:[^"]|"")+)"|([^\W\d][\w$]*)')
_FORBIDDEN = re.compile(
    r"(?:begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|prepare\s+transaction)\b"
    r"|set\s+(?:session\s+|local\s+)?(?:lock_timeout|statement_timeout)\b"
    r"|reset\s+(?:all|lock_timeout|statement_timeout)\b|discard\b",
    re.IGNORECASE,
)
_CONCURRENT = re.compile(
    r"(?:create\s+(?:unique\s+)?index|drop\s+index|reindex\s+(?:\([^)]*\)\s*)?(?:index|table))\s+concurrently\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Statement:
    """One statement without its semicolon, and the line it starts on (from 1)."""

    text: str
    line: int

    @property
    def headline(self) -> str:
        """Give its first line, shortened to 80 characters."""
        first, _, more = self.text.partition("\n")
        return f"{first[:80].rstrip()} …" if more or len(first) > 80 else first

    @property
    def concurrent(self) -> bool:
        """Tell whether it builds or drops an index without keeping readers or writers out."""
        return bool(_CONCURRENT.match(self.text))


def statements(script: str) -> tuple[Statement, ...]:
    """Split a script where psql would: not in quotes, comments, parentheses or `BEGIN ATOMIC … END` bodies."""
    found: list[Statement] = []
    start, end, depth, body, before = -1, 0, 0, 0, ""
    for token in _tokens(script):
        text = token[0]
        if text == ";" and depth <= 0 and body == 0:
            if start >= 0:
                found.append(_statement(script, start, end))
            start, depth = -1, 0
            continue
        start, end = (token.start() if start < 0 else start), token.end()
        depth += (text == "(") - (text == ")")
        if token["word"]:
            word = text.lower()
            body += (word == "atomic" and before == "begin") or (body > 0 and word == "case")
            body -= body > 0 and word == "end"
            before = word
    return (*found, _statement(script, start, end)) if start >= 0 else tuple(found)


def names(script: str) -> frozenset[str]:
    """List every word that might name a table or index, those inside quoted bodies included."""
    words = _WORD.findall(" ".join(token[0] for token in _tokens(script)))
    quoted = {name.replace('""', '"') for name, _ in words if name}
    inside = {plain.lower() for name in quoted for plain in re.findall(r"[^\W\d][\w$]*", name)}
    return frozenset(quoted | inside | {plain.lower() for _, plain in words if plain})


def refuse_own_transactions(script: str, label: str) -> None:
    """Raise Rejected when a script steers transactions or time-outs, which belong to the migrator."""
    for statement in statements(script):
        if found := _FORBIDDEN.match(statement.text):
            raise Rejected(
                f"{label}, line {statement.line}: {' '.join(found[0].split()).upper()} is not allowed in a migration",
                "remove it: Interlock opens the transaction and sets the time-outs; nothing was changed",
            )


def _statement(script: str, start: int, end: int) -> Statement:
    return Statement(text=script[start:end], line=script.count("\n", 0, start) + 1)


def _tokens(script: str) -> Iterator[re.Match[str]]:
    """Walk over what is neither blank nor comment; block comments nest."""
    at = 0
    while token := _TOKEN.match(script, at):
        at = token.end()
        if token["comment"]:
            open_comments = 1
            while open_comments and (mark := re.compile(r"/\*|\*/").search(script, at)):
                open_comments += 1 if mark[0] == "/*" else -1
                at = mark.end()
            at = at if not open_comments else len(script)
        elif not token["blank"]:
            yield token
