"""SQLite and its twin in memory, side by side: asked the same, they answer alike; no process's clock counts."""

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from sqlalchemy import update

from adapters.memory.clock import MemoryClock
from adapters.memory.journal import MemoryJournal
from adapters.memory.leases import MemoryLeases
from domain.chain import verify
from domain.errors import ReleaseError
from domain.facts import Entered, Entry, Intended, Phase
from domain.lease import Lease, carrier_of
from domain.ports import Journal, Leases
from ledger.journal import SqlJournal
from ledger.lease import SqlLeases
from ledger.open import open_ledger
from ledger.tables import LEASE

PLACES = [("shop", "production"), ("shop", carrier_of("shop-1")), ("cart", "production")]
OWNERS = st.sampled_from(["shop-1", "shop-2", "shop-1/rollback by ada"])
MINUTES = st.sampled_from([0, 10, 20])  # far enough apart that no run of this test takes as long
PHASES = st.sampled_from(["planned", "built", "deploying", "aborted"])
HOUR = 3600.0

Answer = tuple[object, ...]


class SideBySide(RuleBasedStateMachine):
    """Two ledgers that are asked the same. Nobody waits: for SQLite every lease is moved towards its end instead."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.ledger, self.clock = open_ledger("sqlite://"), MemoryClock()
        twin = MemoryJournal(self.clock)
        self.both: tuple[tuple[Journal, Leases], ...] = (
            (SqlJournal(self.ledger), SqlLeases(self.ledger)),
            (twin, MemoryLeases(twin)),
        )
        self.read = 0  # so many entries have been compared
        self.patch, self.jumped, tell = pytest.MonkeyPatch(), 0.0, time.time
        self.patch.setattr(time, "time", lambda: tell() + self.jumped)

    def teardown(self) -> None:
        self.patch.undo()
        self.ask(lambda journal, _: [plain(entry) for entry in journal.entries(service="shop", kinds=("lease taken",))])
        assert self.ask(lambda journal, _: verify(journal.rows(), journal.checkpoint())) == ()
        self.ledger.close()

    def ask(self, question: Callable[[Journal, Leases], object]) -> object:
        """Ask both; what one says, the other says, errors and their words included."""
        said, twin_said = (answer(question, *one) for one in self.both)
        assert said == twin_said
        return said[1]

    @rule(target=held, place=st.sampled_from(PLACES), owner=OWNERS, minutes=MINUTES, force=st.booleans())
    def take(self, place: tuple[str, str], owner: str, minutes: int, force: bool) -> object:
        taken = self.ask(lambda _, leases: leases.take(*place, owner, "r", minutes * 60.0, force=force))
        return taken if isinstance(taken, Lease) else multiple()

    @rule(lease=held, minutes=MINUTES)
    def renew(self, lease: Lease, minutes: int) -> None:
        self.ask(lambda _, leases: leases.renew(lease, minutes * 60.0))

    @rule(lease=held)
    def check(self, lease: Lease) -> None:
        self.ask(lambda _, leases: leases.check(lease))

    @rule(lease=consumes(held))
    def give_back(self, lease: Lease) -> None:
        self.ask(lambda _, leases: leases.give_back(lease))

    @rule(lease=held)
    def act(self, lease: Lease) -> None:
        where = {"service": lease.service, "environment": lease.environment, "token": lease.token}
        fact = Intended(key="k", verb="v")
        self.ask(lambda journal, _: journal.append(fact, actor=lease.owner, release=lease.owner, **where))

    @rule(lease=held, token=st.integers(0, 3))
    def act_for_the_carrier(self, lease: Lease, token: int) -> None:
        who = {"actor": "ada", "release": lease.release, "service": lease.service}
        self.ask(lambda journal, _: journal.append(Intended(key="k", verb="v"), **who, carrier=token))

    @rule(release=OWNERS, phase=PHASES)
    def enter(self, release: str, phase: Phase) -> None:
        fact = Entered(phase=phase)
        self.ask(lambda journal, _: journal.append(fact, actor="ada", release=release, service="shop"))

    @rule(minutes=st.sampled_from([5, 10, 15]))
    def time_passes(self, minutes: int) -> None:
        self.clock.sleep(minutes * 60.0)
        with self.ledger.writing() as connection:
            connection.execute(update(LEASE).values(expires_at=LEASE.c.expires_at - minutes * 60.0))

    @rule(by=st.sampled_from([-HOUR, HOUR]))
    def the_clock_of_this_process_jumps(self, by: float) -> None:
        self.jumped += by

    @invariant()
    def everybody_sees_the_same_holders(self) -> None:
        for place in PLACES:
            self.ask(lambda _, leases, place=place: leases.holder(*place))

    @invariant()
    def the_journals_tell_the_same(self) -> None:
        self.ask(lambda journal, _: [plain(entry) for entry in journal.entries(after=self.read)])
        self.read = len(self.both[1][0].entries())


def answer(question: Callable[[Journal, Leases], object], journal: Journal, leases: Leases) -> Answer:
    try:
        said = question(journal, leases)
    except ReleaseError as error:
        return type(error), re.sub(r"\d+(\.\d+)? s\b", "some s", str(error))
    match said:
        case Lease(expires_in=left):
            return "lease", said.model_copy(update={"expires_in": round(left / 60)})
        case Entry():
            return "entry", plain(said)
    return "said", said


def plain(entry: Entry) -> dict[str, object]:
    """Leave out when it was written, and what follows from that."""
    return entry.model_dump(exclude={"at", "previous", "hash"})


TestSideBySide = SideBySide.TestCase
TestSideBySide.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
