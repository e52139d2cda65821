import json
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from typer.testing import Result

from adapters.connect import store
from ledger.checkpoint import keep

if TYPE_CHECKING:
    from conftest import Scene

Run = Callable[..., Result]


def test_an_untouched_journal_is_what_was_written(scene: "Scene", run: Run) -> None:
    scene.begin("v1.0.0")
    rows = len(scene.house.journal.entries())
    shown = run("verify")
    assert (shown.exit_code, shown.stdout) == (
        0,
        f"{rows} rows checked, no checkpoint yet\nthe journal is what was written\n",
    )
    checkpoint = scene.house.journal.checkpoint()
    assert checkpoint
    keep(store(scene.house), checkpoint)
    assert f"{rows} rows checked, checkpoint at row {rows} of 20" in run("verify").stdout


def test_an_edited_row_is_found(scene: "Scene", run: Run) -> None:
    scene.begin("v1.0.0")
    with sqlite3.connect(scene.folder / "ledger.db") as ledger:
        ledger.execute("drop trigger journal_update")
        ledger.execute("update journal set actor = 'somebody else' where seq = 2")
    ledger.close()
    shown = run("verify")
    assert shown.exit_code == 1
    assert "error: row 2 was edited: it no longer has the hash it was written with\n→ compare" in shown.stderr
    data = run("verify", "--json")
    assert data.exit_code == 1
    assert json.loads(data.stdout)["problems"] == ["row 2 was edited: it no longer has the hash it was written with"]


def test_a_tail_that_was_cut_off_is_found_by_the_checkpoint(scene: "Scene", run: Run) -> None:
    scene.begin("v1.0.0")
    checkpoint = scene.house.journal.checkpoint()
    assert checkpoint
    keep(store(scene.house), checkpoint)
    with sqlite3.connect(scene.folder / "ledger.db") as ledger:
        ledger.execute("drop trigger journal_delete")
        ledger.execute("delete from journal where seq = ?", (checkpoint.seq,))
    ledger.close()
    shown = run("verify")
    assert shown.exit_code == 1
    assert f"saw row {checkpoint.seq}" in shown.stderr
