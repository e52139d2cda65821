"""What the proof of a way back finds, and what it costs: every way of the corpus, and a catalog-only one at size."""

import io
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg

from bench.database.ground import Ground, Shop
from bench.database.way import Way
from bench.database.ways import BAD, GOOD, SMOKE, START
from domain.schema.migration import Migration, read
from domain.schema.proof import Proof, prove, subject_of
from domain.schema.rehearsal import WayBack
from tasks.rehearse import rehearse

_CORPUS = "bench_ways"
_NOTICES = {  # what the corpus says that must notice: the words of the proof
    "up fails": ("up",),
    "old smoke": ("old version", "old version after"),
    "down fails": ("down", "down after writes"),
    "schema": ("schema",),
    "data": ("data",),
    "writes": ("writes", "data"),
    "up again": ("up again",),
}
# Adds to the catalog alone: nothing is written anew, nothing read.
_LIGHT = Migration(
    number=1,
    name="light",
    up="alter table orders add column gift boolean; alter table customers add column language text default 'en'",
    down="alter table orders drop column gift; alter table customers drop column language",
)
_LIGHT_SMOKE = """select id, state, total_cents from orders where id = 17;
insert into orders (customer, state, total_cents, placed) values (1, 'new', 5, now());
update orders set note = 'x' where id = 18"""


@dataclass(frozen=True)
class Walked:
    """One way of the corpus, and what was said of it."""

    way: Way
    proof: Proof

    @property
    def right(self) -> bool:
        """Tell whether a good one passed, or a bad one was caught."""
        return self.proof.holds == self.way.good

    @property
    def as_foreseen(self) -> bool:
        """Tell whether what the corpus names has noticed a bad one."""
        found = {problem.about for problem in self.proof.problems}
        return bool(self.way.caught_by) and bool(found & set(_NOTICES[self.way.caught_by]))


def measure(here: Ground, shop: Shop, minutes: float, say: Callable[[str], None]) -> str:
    """Walk the whole corpus, then measure a light way back on the shop; the table says what was wrong."""
    began, walked = time.monotonic(), []
    for one in walk(here):
        walked.append(one)
        if not one.right:
            say(f"{one.way.name}: {'; '.join(problem.says for problem in one.proof.problems) or 'not caught'}")
        if time.monotonic() - began > 60 * minutes:
            say(f"{minutes:g} minutes are over after {len(walked)} ways")
            break
    return "\n".join(["| ways back | walked | as they must be |", "|---|---|---|", *_table(walked), "", *_cost(shop)])


def walk(here: Ground) -> Iterator[Walked]:
    """Walk each way on a copy of its own."""
    corpus = here.empty(_CORPUS)
    with psycopg.connect(corpus.dsn, autocommit=True) as link:
        link.execute(START.encode())
    into = io.BytesIO()
    backup = corpus.database.backup(into)
    for way in (*BAD, *GOOD):
        files = {f"0001_{way.name.replace('-', '_')}.up.sql": way.up}
        files |= {name.replace(".up.", ".down."): way.down for name in files}
        back = WayBack(steps=read(files), old=SMOKE, new=way.new_smoke or None)
        with corpus.database.clone(io.BytesIO(into.getvalue()), backup) as clone:
            rehearsal = rehearse(clone, back)
        yield Walked(way, prove(back, rehearsal, subject_of(back, backup.fingerprint, backup.server), at=0.0))


def _table(walked: list[Walked]) -> Iterator[str]:
    for words, good in (("bad: caught", False), ("good: not refused", True)):
        some = [one for one in walked if one.way.good == good]
        wrong = ", ".join(one.way.name for one in some if not one.right)
        yield f"| {words} | {len(some)} | {sum(one.right for one in some)}{f' (not: {wrong})' if wrong else ''} |"
    caught = [one for one in walked if not one.way.good]
    yield f"| bad: caught by what the corpus names | {len(caught)} | {sum(one.as_foreseen for one in caught)} |"


def _cost(shop: Shop) -> Iterator[str]:
    way = WayBack(steps=(_LIGHT,), old=_LIGHT_SMOKE, new=None)
    with tempfile.TemporaryFile() as dump:
        began = time.monotonic()
        backup = shop.database.backup(dump)
        dumped = time.monotonic() - began
        dump.seek(0)
        began = time.monotonic()
        with shop.database.clone(dump, backup) as clone:
            restored = time.monotonic() - began
            rehearsal = rehearse(clone, way)
    proof = prove(way, rehearsal, subject_of(way, backup.fingerprint, backup.server), at=0.0)
    per = rehearsal.seconds / (shop.size / 1e9)
    yield "| a catalog-only way back | seconds |"
    yield "|---|---|"
    yield f"| dump, with digests | {dumped:.1f} |"
    yield f"| restore into the copy | {restored:.1f} |"
    yield f"| rehearsal ({'holds' if proof.holds else 'does NOT hold'}) | {rehearsal.seconds:.1f} |"
    yield f"| rehearsal per GB (goal: 6) | {per:.1f} |"
