"""The journal: only legal facts, in one unforked chain, for ever."""

import itertools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from adapters.memory.clock import MemoryClock
from adapters.memory.journal import MemoryJournal
from domain.canary.tick import Cell, Tick
from domain.canary.verdict import Verdict
from domain.chain import GENESIS, Checkpoint, verify
from domain.errors import Invalid, Refused
from domain.facts import Done, Entered, Intended, Judged, Looked, Phase, Planned
from domain.ports import Journal
from domain.release.plan import Plan
from domain.release.state import FIRST, NEXT
from ledger.journal import SqlJournal
from ledger.open import Ledger, open_ledger

WHO = {"actor": "ada", "release": "shop-1", "service": "shop"}


def test_facts_come_back_as_they_were_written(journal: Journal) -> None:
    cell = Cell(arm="candidate", replica="shop-2", requests=3, bad=1, histogram={40: 2, 97: 1})
    looked = Looked(share=500, next_share=2500, tick=Tick(second=7, cells=(cell,)))
    done = Done(key="k", verb="build", outcome={"text": 'ä "quoted" \n \x00 \u2028', "nothing": None, "one": 1.5})
    written = (
        journal.append(looked, **WHO, environment="production"),
        journal.append(done, **WHO, environment="staging"),
    )
    assert journal.entries() == written
    assert [entry.fact for entry in written] == [looked, done]
    assert [entry.seq for entry in written] == [1, 2]
    assert [entry.previous for entry in written] == [GENESIS, written[0].hash]


def test_a_plan_comes_back_with_the_hash_it_had(journal: Journal) -> None:
    plan = Plan.model_validate(
        {
            "service": "shop",
            "version": "1.2.0",
            "commit": {"sha": "c" * 40, "author": "ada", "subject": "feat: x", "at": "2026-01-02T03:04:05Z"},
            "request": {"service": "shop", "ref": "main", "environments": ["dev"], "requester": "ada"},
            "build": {},
            "repository": "localhost:5000/shop",
            "runtime": {},
            "schema": {},
            "criteria": {},
            "success": [],
            "stages": [],
        }
    )
    journal.append(Planned(plan=plan, hash=plan.hash), **WHO)
    (entry,) = journal.entries(kinds=("planned",))
    assert isinstance(entry.fact, Planned)
    assert entry.fact.plan == plan
    assert entry.fact.plan.hash == plan.hash


def test_the_time_is_the_databases_in_utc(journal: Journal) -> None:
    at = journal.append(Entered(phase="planned"), **WHO).at
    assert at.endswith("Z")
    assert len(at) == len("2026-01-02T03:04:05.678Z")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()) < 3600


def test_every_filter_that_is_given_must_match(journal: Journal) -> None:
    for release, service, environment, kind in itertools.product("ab", ("shop", "cart"), ("dev", "prod"), (0, 1)):
        fact = Intended(key="k", verb="v") if kind else Done(key="k", verb="v", outcome={})
        journal.append(fact, actor="ada", release=release, service=service, environment=environment)
    assert len(journal.entries()) == 16
    assert {entry.release for entry in journal.entries(release="a")} == {"a"}
    assert len(journal.entries(release="a", kinds=("done",))) == 4
    assert len(journal.entries(kinds=("done", "intended"))) == 16
    assert [e.seq for e in journal.entries(service="cart", environment="prod", after=8)] == [15, 16]
    (one,) = journal.entries(release="b", service="shop", environment="dev", kinds=("intended",))
    assert one.fact == Intended(key="k", verb="v")


def test_what_a_writer_changes_afterwards_stays_as_it_was_written(journal: Journal) -> None:
    outcome = {"route": {"replicas": ("shop-1",), 7: "a key"}}
    written = journal.append(Done(key="k", verb="deploy", outcome=outcome), **WHO)
    outcome["route"]["replicas"] = ("shop-2",)
    (read,) = journal.entries()
    assert written == read
    assert read.fact == Done(key="k", verb="deploy", outcome={"route": {"replicas": ["shop-1"], "7": "a key"}})


def test_a_checkpoint_names_the_newest_row(journal: Journal) -> None:
    assert journal.checkpoint() is None
    entries = [journal.append(Intended(key=str(n), verb="v"), **WHO) for n in range(3)]
    checkpoint = journal.checkpoint()
    assert checkpoint == Checkpoint(seq=3, hash=entries[-1].hash, at=entries[-1].at)
    assert verify(journal.rows(), checkpoint) == ()


def test_a_fact_that_could_not_be_read_back_is_not_written(journal: Journal) -> None:
    with pytest.raises(Invalid, match="cannot be kept"):
        journal.append(Judged(share=1, verdict=Verdict(decision="hold", reasons=(), numbers={"x": math.nan})), **WHO)
    assert journal.entries() == ()


def test_another_releases_past_does_not_matter(journal: Journal) -> None:
    journal.append(Entered(phase="planned"), **WHO)
    with pytest.raises(Refused, match="planned cannot become planned"):
        journal.append(Entered(phase="planned"), **WHO)
    journal.append(Entered(phase="planned"), **{**WHO, "release": "shop-2"})
    assert len(journal.entries()) == 2


def test_in_memory_the_chain_can_be_left_out_and_nothing_else() -> None:
    facts = [Entered(phase="planned"), Done(key="k", verb="v", outcome={}), Intended(key="k", verb="v")]
    chained, bare = MemoryJournal(MemoryClock()), MemoryJournal(MemoryClock(), chained=False)
    for fact in facts:
        entry = chained.append(fact, **WHO)
        assert bare.append(fact, **WHO) == entry.model_copy(update={"previous": "", "hash": ""})
    with pytest.raises(Refused):
        bare.append(facts[0], **WHO)


@pytest.fixture(scope="module", params=["a twin", "a database"])
def in_memory(request: pytest.FixtureRequest) -> Iterator[Journal]:
    if request.param == "a twin":
        yield MemoryJournal(MemoryClock())
        return
    ledger = open_ledger("sqlite://")
    yield SqlJournal(ledger)
    ledger.close()


names = itertools.count()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_only_legal_transitions_are_accepted(in_memory: Journal, data: st.DataObject) -> None:
    who = {**WHO, "release": f"random-{next(names)}"}
    path: list[Phase] = []
    for _ in range(data.draw(st.integers(1, 14), label="length")):
        legal = NEXT[path[-1]] if path else FIRST
        likely = sorted(legal) * 3 + list(get_args(Phase))  # mostly forward, or no walk would get far
        phase: Phase = data.draw(st.sampled_from(likely), label="phase")
        if phase in legal:
            in_memory.append(Entered(phase=phase), **who)
            path.append(phase)
        else:
            with pytest.raises(Refused):
                in_memory.append(Entered(phase=phase), **who)
    recorded = [entry.fact for entry in in_memory.entries(release=who["release"])]
    assert recorded == [Entered(phase=phase) for phase in path]


@pytest.mark.parametrize(
    "statement",
    [
        "update journal set actor = 'mallory' where seq = 1",
        "update journal set actor = actor",
        "delete from journal where seq = 2",
        "delete from journal",
        "truncate journal",
        "insert or replace into journal select 1, at, 'mallory', release, service, environment, token, kind, body,"
        " previous, hash from journal where seq = 1",
        "insert into journal select 7, at, actor, release, service, environment, token, kind, body,"
        " hash, 'anything' from journal where seq = 2",
        "insert into journal select 3, at, actor, release, service, environment, token, kind, body,"
        " 'anything', 'else' from journal where seq = 2",
    ],
)
def test_the_database_itself_refuses_to_change_the_past(
    ledger: Ledger, sql: Callable[..., None], statement: str
) -> None:
    journal = SqlJournal(ledger)
    written = tuple(journal.append(Intended(key=str(n), verb="v"), **WHO) for n in range(2))
    with pytest.raises(DBAPIError):
        sql(statement)
    assert journal.entries() == written


@pytest.mark.parametrize("statement", ["update journal set actor = 'm'", "delete from journal", "truncate journal"])
def test_the_refusal_says_why(ledger: Ledger, sql: Callable[..., None], statement: str, url: str) -> None:
    SqlJournal(ledger).append(Entered(phase="planned"), **WHO)
    reason = "syntax error" if "sqlite" in url and "truncate" in statement else "the journal is append-only"
    with pytest.raises(DBAPIError, match=reason):
        sql(statement)


def test_eight_threads_append_one_chain_without_gaps_or_forks(journal: Journal) -> None:
    def write(thread: int) -> list[int]:
        who = {**WHO, "release": f"shop-{thread}"}
        return [journal.append(Intended(key=str(n), verb="v"), **who).seq for n in range(15)]

    with ThreadPoolExecutor(8) as threads:
        given_out = sorted(itertools.chain.from_iterable(threads.map(write, range(8))))
    assert given_out == list(range(1, 121))
    assert [row.seq for row in journal.rows()] == given_out
    assert verify(journal.rows()) == ()


def test_a_restart_continues_the_chain(url: str) -> None:
    hashes = []
    for n in range(3):
        ledger = open_ledger(url)
        entry = SqlJournal(ledger).append(Intended(key=str(n), verb="v"), **WHO)
        hashes.append((entry.previous, entry.hash))
        rows = list(SqlJournal(ledger).rows())
        ledger.close()
    assert [previous for previous, _ in hashes] == [GENESIS, hashes[0][1], hashes[1][1]]
    assert verify(rows) == ()


def test_rows_are_read_across_pages(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.journal._PAGE", 3)
    for n in range(7):
        journal.append(Intended(key=str(n), verb="v"), **WHO)
    assert [row.seq for row in journal.rows()] == [1, 2, 3, 4, 5, 6, 7]
    assert [row.seq for row in journal.rows(after=1)] == [2, 3, 4, 5, 6, 7]
