"""`interlock verify`: is the journal what was written?"""

from collections.abc import Iterable, Iterator

import typer

from adapters.connect import open_house, store
from cli import options, show
from domain.chain import Row
from domain.chain import verify as recompute
from domain.errors import Conflict
from ledger.checkpoint import latest

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: `interlock verify`")
def verify(json: options.Json = False) -> None:
    """Prove that nobody rewrote the journal.

    Recomputes the hash chain over every row, and compares it with the latest checkpoint in the store, which tells a cut
    tail or a journal written anew. Exits 1 with every problem.
    """
    house = open_house()
    checkpoint = latest(store(house))
    counted = _Counted(house.journal.rows())
    problems = recompute(counted, checkpoint)
    if json:
        show.data({"rows": counted.rows, "checkpoint": checkpoint and checkpoint.model_dump(), "problems": problems})
    else:
        against = (
            f"checkpoint at row {checkpoint.seq} of {show.when(checkpoint.at)}" if checkpoint else "no checkpoint yet"
        )
        show.say(f"{counted.rows} rows checked, {against}")
    if problems:
        raise Conflict("\n".join(problems), "compare the ledger with its backup, and find out who can write to it")
    if not json:
        show.say("the journal is what was written", "green")


class _Counted:
    """Counts rows as they pass."""

    def __init__(self, source: Iterable[Row]) -> None:
        self.rows = 0
        self._source = source

    def __iter__(self) -> Iterator[Row]:
        for row in self._source:
            self.rows += 1
            yield row
