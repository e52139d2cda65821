"""Opening a ledger: many at once, and never one that is not ours to write."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from domain.errors import Invalid, Unavailable
from domain.facts import Entered, Intended
from ledger.journal import SqlJournal
from ledger.open import Ledger, open_ledger

WHO = {"actor": "ada", "release": "shop-1", "service": "shop"}


def test_many_may_open_a_new_ledger_at_once(url: str) -> None:
    start = threading.Barrier(8)

    def open_and_write(thread: int) -> int:
        start.wait()
        ledger = open_ledger(url)
        seq = SqlJournal(ledger).append(Intended(key=str(thread), verb="v"), **WHO).seq
        ledger.close()
        return seq

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(open_and_write, range(8))) == list(range(1, 9))


def test_a_ledger_of_a_newer_interlock_is_left_alone(ledger: Ledger, url: str, sql: Callable[..., None]) -> None:
    sql("insert into upgrade values ('m999_from_the_future')")
    with pytest.raises(Invalid, match="m999_from_the_future"):
        open_ledger(url)


@pytest.mark.parametrize("wrong", ["mysql://root:hunter2@db/x", "not a url with hunter2"])
def test_another_kind_of_url_is_invalid_and_not_repeated(wrong: str) -> None:
    with pytest.raises(Invalid) as caught:
        open_ledger(wrong)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_invalid(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("a shopping list, long enough to be read as a header: " * 20)
    with pytest.raises(Invalid, match="not a database"):
        open_ledger(f"sqlite:///{tmp_path}/ledger.db")


def test_a_database_that_does_not_answer_is_unavailable_and_its_password_stays_secret(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        open_ledger(f"postgresql://interlock:hunter2@/ledger?host={tmp_path}")
    assert "hunter2" not in str(caught.value)


def test_a_database_that_is_locked_for_too_long_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.open._BUSY_TIMEOUT", 0.05)
    first, second = (open_ledger(f"sqlite:///{tmp_path}/ledger.db") for _ in range(2))
    with first.writing(), pytest.raises(Unavailable, match="locked"):
        SqlJournal(second).append(Entered(phase="planned"), **WHO)
    SqlJournal(second).append(Entered(phase="planned"), **WHO)
    first.close()
    second.close()
