"""`interlock backups`: what is kept is told with its reason, what goes is asked for, and a hold is a fact."""

import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import Result

from adapters.connect import connect
from domain.facts import BackupFreed, BackupHeld, BackupLetGo, Entry, Fact
from domain.ports import Store
from domain.release.explain import story
from ledger.journal import SqlJournal

if TYPE_CHECKING:
    from conftest import Scene

Run = Callable[..., Result]
DAY = 86_400.0


@pytest.fixture
def store(scene: "Scene") -> Store:
    """Five releases were stopped in production, each with a backup: r5's is ten days old, r1's fifty."""
    store = connect("shop", scene.house).ports.store
    for number in range(1, 6):
        scene.enter(f"r{number}", "aborted", environment="production")
        for ending in ("dump.zst", "json"):
            put(scene, store, f"backups/shop/production/r{number}/000.{ending}", days=60 - 10 * number)
    return store


def put(scene: "Scene", store: Store, key: str, days: float) -> None:
    store.put(key, [b"rows"])
    written = time.time() - days * DAY
    os.utime(scene.folder / "store" / key, (written, written))


def key(number: int) -> str:
    return f"backups/shop/production/r{number}/000"


def left(store: Store) -> list[str]:
    return [name.split("/")[3] for name in store.keys("backups/") if name.endswith(".json")]


def kinds(scene: "Scene") -> list[tuple[str, str, str]]:
    found = scene.house.journal.entries(kinds=("backup held", "backup freed", "backup let go"))
    return [(it.actor, it.release, it.fact.kind) for it in found]


def test_every_backup_is_listed_with_the_reason_why_it_is_kept(scene: "Scene", run: Run, store: Store) -> None:
    put(scene, store, "backups/shop/dev/r9/000.json", days=3)
    shown = run("backups", "list", "shop")
    assert shown.exit_code == 0, shown.stderr
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in shown.stdout.splitlines() if "backups/" in line}
    assert lines[key(1)] == "50.0 d may go it is 50.0 d old; nothing needs it"
    assert lines[key(3)] == "30.0 d kept it is one of the 3 newest"
    assert lines[key(5)] == "10.0 d kept it is one of the 3 newest; it is 10.0 d old, and kept for 30 d"
    assert lines["backups/shop/dev/r9/000"] == "3.0 d ? the ledger knows no release r9"
    data = json.loads(run("backups", "list", "shop", "production", "--json").stdout)["backups"]
    assert [(it["backup"]["release"], it["keep"]) for it in data] == [
        ("r1", False), ("r2", False), ("r3", True), ("r4", True), ("r5", True),
    ]  # fmt: skip
    assert run("backups", "list", "shop", "dev").stdout.count("backups/") == 1
    assert run("backups", "list", "shop", "nowhere").exit_code == 2
    assert kinds(scene) == []


def test_what_would_go_is_shown_and_nothing_is_removed(scene: "Scene", run: Run, store: Store) -> None:
    put(scene, store, "backups/blog/dev/b1/000.json", days=300)
    shown = run("backups", "prune", "--dry-run")
    assert shown.exit_code == 0, shown.stderr
    assert [number for number in range(1, 6) if key(number) in shown.stdout] == [1, 2]
    assert "backups/blog/dev/b1/000 stays: there is no service blog" in shown.stderr
    assert run("backups", "prune", "--as", "linus", input="n\n").exit_code == 1
    assert left(store) == ["b1", "r1", "r2", "r3", "r4", "r5"]
    assert kinds(scene) == []


def test_what_nothing_needs_goes_after_a_yes_under_the_name_of_whoever_said_it(
    scene: "Scene", run: Run, store: Store
) -> None:
    shown = run("backups", "prune", "shop", "--as", "linus", input="y\n")
    assert shown.exit_code == 0, shown.stderr
    assert "linus: let go of these 2?" in shown.stdout
    assert left(store) == ["r3", "r4", "r5"]
    assert kinds(scene) == [("linus", "r1", "backup let go"), ("linus", "r2", "backup let go")]
    told = [said for *_, said in story(scene.house.journal.entries(release="r1"))]
    assert f"lets go of {key(1)}: it is 50.0 d old; nothing needs it" in told
    assert "would go: none" in run("backups", "prune", "--yes", "--as", "linus").stdout


def test_nobody_unknown_lets_anything_go(run: Run, store: Store) -> None:
    assert run("backups", "prune", "--yes").exit_code == 2
    assert run("backups", "prune", "shpo", "--yes", "--as", "linus").exit_code == 2
    assert len(left(store)) == 5


def test_what_somebody_holds_in_between_stays_and_that_is_said(
    scene: "Scene", run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.backups.let_go", lambda *_: ())
    shown = run("backups", "prune", "--yes", "--as", "linus")
    assert "2 stay: somebody holds them, or their environment" in shown.stderr


def test_a_hold_is_a_fact_and_keeps_a_backup_until_it_is_freed(scene: "Scene", run: Run, store: Store) -> None:
    held = run("backups", "hold", f"{key(1)}.dump.zst", "--reason", "an audit", "--as", "ada")
    assert held.exit_code == 0, held.stderr
    assert f"ada holds {key(1)}: an audit" in held.stdout
    assert "ada holds it: an audit" in run("backups", "list", "shop").stdout
    run("backups", "prune", "--yes", "--as", "linus")
    assert left(store) == ["r1", "r3", "r4", "r5"]
    assert run("backups", "unhold", key(1), "--reason", "it ended", "--as", "grace").exit_code == 0
    facts = [it.fact for it in scene.house.journal.entries(release="r1", kinds=("backup held", "backup freed"))]
    assert facts == [BackupHeld(key=key(1), reason="an audit"), BackupFreed(key=key(1), reason="it ended")]
    run("backups", "prune", "--yes", "--as", "linus")
    assert left(store) == ["r3", "r4", "r5"]


def test_a_hold_that_comes_too_late_is_told_so(scene: "Scene", run: Run, store: Store) -> None:
    scene.write(BackupLetGo(key=key(2), objects=(), reason="old"), "r2", "production")
    assert run("backups", "hold", key(1), "--reason", "an audit", "--as", "ada").exit_code == 0
    late = run("backups", "hold", key(2), "--reason", "an audit", "--as", "ada")
    assert late.exit_code == 1
    assert "is held, but somebody let go of it at" in late.stderr


def test_a_hold_that_a_removal_still_sees_is_no_failure(
    scene: "Scene", run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = SqlJournal.append

    def then_prune(journal: SqlJournal, fact: Fact, **known: Any) -> Entry:
        entry = append(journal, fact, **known)
        if isinstance(fact, BackupHeld):  # it is written down, sees the hold, and keeps the backup
            append(journal, BackupLetGo(key=fact.key, objects=(), reason="old"), **known)
        return entry

    monkeypatch.setattr(SqlJournal, "append", then_prune)
    assert run("backups", "hold", key(1), "--reason", "an audit", "--as", "ada").exit_code == 0


def test_everything_that_is_wrong_with_a_hold_is_said_at_once(scene: "Scene", run: Run, store: Store) -> None:
    put(scene, store, "backups/shop/production/notes.txt", days=1)
    wrong = run("backups", "hold", "backups/shop/production/r1/001", "--reason", " ", "--as", "ada")
    assert wrong.exit_code == 2
    assert "--reason is empty" in wrong.stderr
    assert f"there is no backup 'backups/shop/production/r1/001'; did you mean {key(1)}" in wrong.stderr
    for other in ("backups/blog/dev/b1/000", "backups/shop/production/notes.txt", "000"):
        assert run("backups", "hold", other, "--reason", "x", "--as", "ada").exit_code == 2
    assert "nobody holds" in run("backups", "unhold", key(1), "--reason", "x", "--as", "ada").stderr
    assert run("backups", "hold", key(1), "--reason", "x").exit_code == 2
    assert kinds(scene) == []
