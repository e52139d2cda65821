"""Whoever owns the database can drop its triggers; the chain and its checkpoints tell what was done then."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from typing import IO

import pytest

from domain.canonical import canonical
from domain.chain import GENESIS, Checkpoint, entry_hash, verify
from domain.errors import Conflict, Invalid
from domain.facts import Entered, Intended
from ledger.checkpoint import keep, latest
from ledger.journal import SqlJournal
from ledger.open import Ledger
from ledger.tables import JournalRow

Sql = Callable[..., None]
ROWS = 8
COLUMNS = "seq, at, actor, release, service, environment, token, kind, body, previous, hash"
INSERT = f"insert into journal ({COLUMNS}) values (:{', :'.join(COLUMNS.split(', '))})"


@pytest.fixture
def journal(ledger: Ledger) -> SqlJournal:
    filled = SqlJournal(ledger)
    filled.append(Entered(phase="planned"), actor="ada", release="shop-1", service="shop")
    for n in range(1, ROWS):
        filled.append(Intended(key=str(n), verb="v"), actor="ada", release="shop-1", service="shop", environment="dev")
    return filled


@pytest.fixture
def tamper(sql: Sql, url: str) -> Sql:
    """Run SQL with the triggers out of the way."""
    if "postgresql" in url:
        sql("alter table journal disable trigger user")
    else:
        sql(*(f"drop trigger journal_{name}" for name in ("insert", "update", "delete")))
    return sql


class Shelf:
    """A Store in a dict, as far as checkpoints need it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, chunks: Iterable[bytes]) -> str:
        content = b"".join(chunks)
        if self.objects.setdefault(key, content) != content:
            raise Conflict(f"{key} exists with other content")
        return sha256(content).hexdigest()

    @contextmanager
    def open(self, key: str) -> Iterator[IO[bytes]]:
        if key not in self.objects:
            raise Invalid(key)
        yield BytesIO(self.objects[key])

    def keys(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in self.objects if key.startswith(prefix)))


def chained(rows: Iterable[JournalRow]) -> list[JournalRow]:
    """Forge: number and chain rows anew, so that nothing within them is wrong."""
    forged: list[JournalRow] = []
    for row in rows:
        last = forged[-1] if forged else None
        row.seq, row.previous = len(forged) + 1, last.hash if last else GENESIS
        row.hash = entry_hash(row)
        forged.append(row)
    return forged


def replace(tamper: Sql, rows: Iterable[JournalRow]) -> None:
    tamper("delete from journal")
    for row in rows:
        tamper(INSERT, **row.model_dump())


def test_a_sound_journal_has_no_problems(journal: SqlJournal) -> None:
    assert verify(journal.rows()) == ()
    assert verify(journal.rows(), journal.checkpoint()) == ()
    assert verify([]) == ()


def test_the_hash_is_the_one_the_documentation_promises(journal: SqlJournal) -> None:
    entry = journal.entries()[1]
    parts = [
        entry.previous, 2, entry.at, "ada", "shop-1", "shop", "dev", 0, {"kind": "intended", "key": "1", "verb": "v"}
    ]  # fmt: skip
    assert entry.hash == sha256(b"interlock-journal/1\n" + canonical(parts).encode()).hexdigest()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("update journal set body = replace(body, 'v', 'w') where seq = 3", "row 3 was edited"),
        ("update journal set body = body || ' ' where seq = 3", "row 3 was edited"),
        ("update journal set actor = 'eve' where seq = 3", "row 3 was edited"),
        ("update journal set at = '2020-01-01T00:00:00.000Z' where seq = 8", "row 8 was edited"),
        ("update journal set release = 'shop-2' where seq = 1", "row 1 was edited"),
        ("update journal set service = 'cart' where seq = 3", "row 3 was edited"),
        ("update journal set environment = 'production' where seq = 3", "row 3 was edited"),
        ("update journal set token = 7 where seq = 3", "row 3 was edited"),
        ("update journal set previous = 'x' where seq = 3", "row 3 does not follow"),
        ("update journal set hash = 'x' where seq = 3", "row 4 does not follow"),
        ("update journal set kind = 'looked' where seq = 1", "row 1 is filed as 'looked'"),
        ("delete from journal where seq = 4", "row 5 stands where row 4 should be"),
        ("delete from journal where seq = 1", "row 2 stands where row 1 should be"),
    ],
)
def test_an_edited_or_deleted_row_is_found(journal: SqlJournal, tamper: Sql, statement: str, said: str) -> None:
    tamper(statement)
    problems = verify(journal.rows())
    assert any(said in problem for problem in problems)
    assert len(problems) <= 3


def test_an_edited_row_with_a_matching_hash_breaks_the_row_after_it(journal: SqlJournal, tamper: Sql) -> None:
    row = next(row for row in journal.rows() if row.seq == 3)
    row.actor = "eve"
    tamper("update journal set actor = :actor, hash = :hash where seq = 3", actor="eve", hash=entry_hash(row))
    assert verify(journal.rows()) == ("row 4 does not follow the row before it",)


def test_reordered_rows_are_found(journal: SqlJournal, tamper: Sql) -> None:
    tamper(
        "update journal set seq = 99 where seq = 3",
        "update journal set seq = 3 where seq = 4",
        "update journal set seq = 4 where seq = 99",
    )
    problems = verify(journal.rows())
    assert "row 3 does not follow the row before it" in problems
    assert "row 4 does not follow the row before it" in problems


def test_an_inserted_row_is_found(journal: SqlJournal, tamper: Sql) -> None:
    rows = list(journal.rows())
    forged = JournalRow(**{**rows[3].model_dump(), "actor": "eve", "previous": rows[2].hash})
    forged.hash = entry_hash(forged)
    later = [JournalRow(**{**row.model_dump(), "seq": row.seq + 1}) for row in rows[3:]]
    later[0].previous = forged.hash
    replace(tamper, [*rows[:3], forged, *later])
    assert "row 5 was edited: it no longer has the hash it was written with" in verify(journal.rows())


def test_a_row_that_stands_twice_is_found(journal: SqlJournal) -> None:
    rows = list(journal.rows())
    assert "row 4 stands where row 5 should be: rows were removed, added or reordered" in verify(rows[:4] + rows[3:])


def test_a_cut_tail_is_found_by_a_checkpoint_alone(journal: SqlJournal, tamper: Sql) -> None:
    checkpoint = journal.checkpoint()
    tamper("delete from journal where seq > 5")
    assert verify(journal.rows()) == ()
    (problem,) = verify(journal.rows(), checkpoint)
    assert problem.startswith("the journal ends at row 5; the checkpoint of ")
    assert problem.endswith("saw row 8")


def test_an_emptied_journal_is_found_by_a_checkpoint(journal: SqlJournal, tamper: Sql) -> None:
    checkpoint = journal.checkpoint()
    tamper("delete from journal")
    assert verify(journal.rows(), checkpoint)
    assert journal.checkpoint() is None


@pytest.mark.parametrize("edited", [1, 5, 8])
def test_a_journal_chained_anew_is_found_by_a_checkpoint_alone(journal: SqlJournal, tamper: Sql, edited: int) -> None:
    checkpoint = journal.checkpoint()
    rows = list(journal.rows())
    rows[edited - 1].actor = "eve"
    replace(tamper, chained(rows))
    journal.append(Intended(key="more", verb="v"), actor="eve", release="shop-1", service="shop")
    assert verify(journal.rows()) == ()
    (problem,) = verify(journal.rows(), checkpoint)
    assert problem.startswith("row 8 is not the one that the checkpoint of ")


def test_a_checkpoint_is_kept_once_and_the_furthest_is_found_again(journal: SqlJournal) -> None:
    shelf = Shelf()
    assert latest(shelf) is None
    first = journal.checkpoint()
    assert first is not None
    assert keep(shelf, first) == keep(shelf, first) == "checkpoints/000000000008.json"
    for n in range(3):
        journal.append(Intended(key=f"more {n}", verb="v"), actor="ada", release="shop-1", service="shop")
    last = journal.checkpoint()
    assert last is not None
    keep(shelf, last)
    assert latest(shelf) == last
    assert (last.seq, last.hash, last.at) == (11, journal.entries()[-1].hash, journal.entries()[-1].at)
    assert verify(journal.rows(), first) == verify(journal.rows(), last) == ()


def test_a_checkpoint_of_a_rewritten_journal_does_not_replace_the_one_before(journal: SqlJournal, tamper: Sql) -> None:
    shelf = Shelf()
    before = journal.checkpoint()
    assert before is not None
    keep(shelf, before)
    rows = list(journal.rows())
    rows[2].actor = "eve"
    replace(tamper, chained(rows))
    after = journal.checkpoint()
    assert after is not None
    with pytest.raises(Conflict):
        keep(shelf, after)
    assert latest(shelf) == before


def test_a_damaged_checkpoint_is_a_conflict_not_a_pass() -> None:
    shelf = Shelf()
    keep(shelf, Checkpoint(seq=1, hash="a", at="b"))
    shelf.objects["checkpoints/000000000001.json"] = b"{}"
    with pytest.raises(Conflict, match=r"checkpoints/000000000001\.json"):
        latest(shelf)
