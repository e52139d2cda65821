"""A statement that is run batch by batch, each in a transaction of its own, until it changes no row.

-- interlock: phase=migrate batch=5000 pause=100ms
update orders set total_cents = net_cents + tax_cents
where id in (select id from orders where total_cents is null order by id limit :batch for update skip locked)

It takes its rows by what is not done yet. So it comes to an end, and one that was cut off simply goes on.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from domain.errors import Rejected
from domain.schema.grammar import Fault, Statement, inside, parse
from domain.value import seconds

_PIECE = re.compile(
    r"""--[^\n]*  |  /\*.*?\*/  |  [eE]'(?:[^'\\]|\\.|'')*'  |  '(?:[^']|'')*'  |  "(?:[^"]|"")*"
      | (?P<dollar>\$(?:[^\W\d]\w*)?\$).*?(?P=dollar)
      | (?P<skip>\bskip\s+locked\b)
      | (?<![\w:\])"]):(?P<batch>batch)\b""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_STAND_IN = 1_987_654_321  # for the placeholder, where only the statement's form counts
_KINDS = {"update_stmt", "insert_stmt", "delete_stmt"}
_FEW = 10  # batches that nobody counts for; the tables' rows are counted after them


def filled(script: str, batch: int) -> str:
    """Write the number of rows for every `:batch`."""
    return _PIECE.sub(lambda found: str(batch) if found["batch"] else found[0], script)


def patient(script: str) -> str:
    """Let a statement wait for rows that somebody has locked, instead of passing over them."""
    return _PIECE.sub(lambda found: "" if found["skip"] else found[0], script)


def wrong(head: Mapping[str, str], script: str, *, forth: bool) -> Iterator[str]:
    """Say what is wrong with a header's `batch` and `pause`, and with a script for them; `forth`: it is a way there."""
    placed = any(found["batch"] for found in _PIECE.finditer(script))
    if "pause" in head and not isinstance(seconds(head["pause"]), float):
        yield f"pause={head['pause']} must be a duration such as 100ms"
    if "batch" not in head:
        if "pause" in head:
            yield "pause= needs batch=: it is the time between two batches"
        if placed:
            yield "`:batch` needs batch= in the header: how many rows it stands for"
        return
    if not re.fullmatch(r"[1-9]\d{0,8}", head["batch"]):
        yield f"batch={head['batch']} must be a number of rows such as 5000"
    if not forth:
        yield "batch= is for the way there: a way back goes with its row, in one transaction"
    elif head.get("phase") != "migrate":
        yield "batch= needs phase=migrate: between two batches everybody sees half of it"
    if "tx" in head:
        yield "batch= and tx= exclude each other: each batch is a transaction of its own"
    yield from _unfit(script) if placed else ["batch= needs a `:batch` in the script: the LIMIT of the rows it takes"]


def _unfit(script: str) -> Iterator[str]:
    """Say why a script with its placeholder cannot be run batch by batch."""
    statements = parse(filled(script, _STAND_IN))
    if isinstance(statements, Fault):
        yield f"line {statements.line}: {statements.says}"
    elif len(statements) != 1:
        yield f"batch= needs exactly one statement, not {len(statements)}"
    else:
        yield from _misshapen(statements[0])


def _misshapen(statement: Statement) -> Iterator[str]:
    values = "values_lists" in statement.body.get("select_stmt", {}).get("select_stmt", {})
    if statement.node not in _KINDS or values:
        yield "batch= needs one UPDATE, DELETE or INSERT … SELECT"
        return
    everything = {statement.node: statement.body}
    limited = [one for one in inside(everything, "select_stmt") if _limit(one) == _STAND_IN]
    changes = inside(everything, "update_stmt") or inside(everything, "delete_stmt")
    if not limited:
        yield "`:batch` must be the LIMIT of a SELECT: else nothing bounds a batch"
    elif changes and not all("locking_clause" in one for one in limited):
        yield "the SELECT with `limit :batch` needs FOR UPDATE SKIP LOCKED: else it overwrites what users write"


def _limit(select: Mapping[str, Mapping[str, Mapping[str, Mapping[str, int]]]]) -> int | None:
    return select.get("limit_count", {}).get("a_const", {}).get("ival", {}).get("ival")


def run_out(what: str, script: str, batch: int, change: Callable[[str], int], rows: Callable[[], int]) -> Iterator[int]:
    """Have `change` run a script in a transaction, again and again; yields how many rows each batch has changed.

    It is over when nothing changes even where the script waits for rows that are locked. `rows` counts the tables that
    the script names: a row changes once, so that more than twice as many will go on for ever. Raises Rejected then.
    """
    changed, most = 0, 0
    while found := change(script) or change(patient(script)):
        changed += found
        yield found
        if changed > _FEW * batch:
            most = most or 2 * rows() + _FEW * batch
        if most and changed > most:
            raise Rejected(
                f"{what}: its condition never becomes empty: {changed} rows were changed, and its tables do not have"
                " half as many; they stay changed",
                "take the rows by what the statement itself makes true, such as `where total is null`",
            )
