"""The lease: one writer per environment, and nobody else's late word counts."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from adapters.memory.clock import MemoryClock
from adapters.memory.journal import MemoryJournal
from adapters.memory.leases import MemoryLeases
from domain.chain import verify
from domain.errors import Conflict, Unavailable
from domain.facts import Intended, LeaseReturned, LeaseTaken
from domain.lease import Lease
from domain.ports import Journal, Leases
from ledger.lease import Heartbeat, SqlLeases
from ledger.open import Ledger, open_ledger

PLACE = ("shop", "production")


def write(journal: Journal, lease: Lease) -> None:
    journal.append(
        Intended(key="k", verb="v"),
        actor=lease.owner,
        release=lease.owner,
        service=lease.service,
        environment=lease.environment,
        token=lease.token,
    )


def test_the_same_owner_keeps_its_token(leases: Leases) -> None:
    first = leases.take(*PLACE, "shop-1", "release 1.2.0", 60)
    again = leases.take(*PLACE, "shop-1", "after approval", 600)
    assert (again.token, again.reason) == (first.token, "after approval")
    held = leases.holder(*PLACE)
    assert held is not None
    assert held.reason == "after approval"
    assert 60 < held.expires_in <= 600


def test_a_live_lease_of_another_is_a_conflict_that_says_what_to_do(leases: Leases) -> None:
    leases.take(*PLACE, "shop-1", "release 1.2.0", 90)
    with pytest.raises(
        Conflict, match=r"shop in production is held by shop-1 for another (90|89) s: release 1.2.0"
    ) as no:
        leases.take(*PLACE, "shop-2", "release 1.3.0", 60)
    assert no.value.hint == "wait, or `interlock lease take-over shop production --reason …`"


def test_environments_and_services_do_not_wait_for_each_other(leases: Leases) -> None:
    for service, environment in (("shop", "production"), ("shop", "staging"), ("cart", "production")):
        assert leases.take(service, environment, f"{service}-{environment}", "r", 60).token == 1


def test_a_lease_given_back_is_free_and_its_token_never_comes_back(leases: Leases, journal: Journal) -> None:
    first = leases.take(*PLACE, "shop-1", "r", 60)
    leases.give_back(first)
    assert leases.holder(*PLACE) is None
    leases.give_back(first)
    second = leases.take(*PLACE, "shop-1", "r", 60)
    assert second.token == first.token + 1
    kinds = [entry.fact.kind for entry in journal.entries()]
    assert kinds == ["lease taken", "lease returned", "lease taken"]
    with pytest.raises(Conflict):
        write(journal, first)
    write(journal, second)


def test_a_lost_lease_table_does_not_bring_old_tokens_back(ledger: Ledger, sql: Callable[..., None]) -> None:
    leases = SqlLeases(ledger)
    before = [leases.take(*PLACE, owner, "r", 60, force=True).token for owner in ("a", "b", "c")]
    sql("delete from lease")
    assert before == [1, 2, 3]
    assert leases.take(*PLACE, "a", "r", 60).token == 4


@pytest.mark.parametrize("newcomer", ["shop-1", "shop-2"])
def test_an_expired_lease_is_taken_over_under_a_new_token(leases: Leases, journal: Journal, newcomer: str) -> None:
    expired = leases.take(*PLACE, "shop-1", "r", 0)
    held = leases.holder(*PLACE)
    assert held is not None
    assert held.expires_in <= 0
    taken = leases.take(*PLACE, newcomer, "sweep", 60)
    assert taken.token == expired.token + 1
    fact = journal.entries(kinds=("lease taken",))[-1].fact
    assert fact == LeaseTaken(owner=newcomer, reason="sweep", took_over_from="shop-1")


def test_force_takes_over_a_live_lease_and_the_journal_says_from_whom(leases: Leases, journal: Journal) -> None:
    first = leases.take(*PLACE, "shop-1", "r", 600)
    second = leases.take(*PLACE, "ada", "the runner is gone", 60, force=True)
    entry = journal.entries(kinds=("lease taken",))[-1]
    assert entry.fact == LeaseTaken(owner="ada", reason="the runner is gone", took_over_from="shop-1")
    assert (entry.token, entry.actor, entry.service, entry.environment) == (second.token, "ada", *PLACE)
    with pytest.raises(Conflict, match="ada holds it with token 2: the runner is gone"):
        leases.check(first)


def test_a_stale_token_is_refused_after_a_takeover(leases: Leases, journal: Journal) -> None:
    zombie = leases.take(*PLACE, "shop-1", "r", 60)
    write(journal, zombie)
    living = leases.take(*PLACE, "shop-2", "sweep", 60, force=True)
    before = journal.entries()
    with pytest.raises(Conflict, match="the lease with token 1 is over; shop-2 holds it with token 2: sweep"):
        write(journal, zombie)
    with pytest.raises(Conflict):
        leases.renew(zombie, 60)
    leases.give_back(zombie)
    assert journal.entries() == before
    write(journal, living)


def test_an_expired_leases_zombie_cannot_append(leases: Leases, journal: Journal) -> None:
    zombie = leases.take(*PLACE, "shop-1", "r", 0)
    with pytest.raises(Conflict, match="it was shop-1's and expired"):
        write(journal, zombie)
    with pytest.raises(Conflict):
        leases.check(zombie)
    assert [entry.fact.kind for entry in journal.entries()] == ["lease taken"]


def test_a_token_of_another_environment_is_refused(leases: Leases, journal: Journal) -> None:
    leases.take(*PLACE, "shop-1", "r", 60)
    elsewhere = Lease(service="shop", environment="staging", token=1, owner="shop-1", reason="r", expires_in=60)
    with pytest.raises(Conflict, match="nobody holds it now"):
        write(journal, elsewhere)


def test_an_expired_lease_that_nobody_took_can_be_renewed(leases: Leases, journal: Journal) -> None:
    lease = leases.take(*PLACE, "shop-1", "r", 0)
    leases.renew(lease, 60)
    leases.check(lease)
    write(journal, lease)


def test_of_twenty_racers_exactly_one_holds_the_lease(leases: Leases, journal: Journal) -> None:
    rounds = 4

    def race(start: threading.Barrier, racer: int) -> Lease | None:
        start.wait()
        try:
            return leases.take(*PLACE, f"racer-{racer}", "r", 60)
        except Conflict:
            return None

    with ThreadPoolExecutor(20) as threads:
        for _ in range(rounds):
            start = threading.Barrier(20)
            winners = [won for won in threads.map(lambda n: race(start, n), range(20)) if won]  # noqa: B023  # awaited here
            assert len(winners) == 1
            assert leases.holder(*PLACE) is not None
            leases.give_back(winners[0])
    entries = journal.entries()
    assert [entry.token for entry in entries] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [type(entry.fact) for entry in entries] == [LeaseTaken, LeaseReturned] * rounds


def test_of_twenty_racers_for_an_expired_lease_each_gets_a_token_of_its_own(leases: Leases, journal: Journal) -> None:
    start = threading.Barrier(20)

    def race(racer: int) -> int:
        start.wait()
        return leases.take(*PLACE, f"racer-{racer}", "r", 0).token

    with ThreadPoolExecutor(20) as threads:
        assert sorted(threads.map(race, range(20))) == list(range(1, 21))
    assert [entry.token for entry in journal.entries()] == list(range(1, 21))
    assert verify(journal.rows()) == ()


class Counted:
    """Passes renewals on and counts them; the first ones find that nothing answers."""

    def __init__(self, leases: Leases, silent: int = 0) -> None:
        self.leases, self.silent, self.renewals = leases, silent, 0
        self.enough = threading.Event()

    def renew(self, lease: Lease, ttl: float) -> Lease:
        self.renewals += 1
        if self.renewals >= self.silent + 3:
            self.enough.set()
        if self.renewals <= self.silent:
            raise Unavailable("the ledger does not answer")
        return self.leases.renew(lease, ttl)


@pytest.mark.parametrize("silent", [0, 2])
def test_a_heartbeat_keeps_the_lease_through_a_silence_of_the_ledger(
    leases: Leases, journal: Journal, silent: int
) -> None:
    lease = leases.take(*PLACE, "shop-1", "r", 0)
    counted = Counted(leases, silent)
    with Heartbeat(counted, lease, 0.15) as heart:  # type: ignore[arg-type]  # a heart only renews
        assert counted.enough.wait(30)
        assert heart.lost is None
    leases.renew(lease, 60)
    write(journal, lease)
    beats = counted.renewals
    assert not threading.Event().wait(0.2)
    assert counted.renewals == beats


def test_a_heartbeat_stops_and_remembers_that_the_lease_was_lost(leases: Leases) -> None:
    lease = leases.take(*PLACE, "shop-1", "r", 60)
    taken = leases.take(*PLACE, "ada", "hands off", 60, force=True)
    counted = Counted(leases)
    with Heartbeat(counted, lease, 0.06) as heart:  # type: ignore[arg-type]  # a heart only renews
        heart._thread.join(30)
    assert isinstance(heart.lost, Conflict)
    assert "ada holds it" in str(heart.lost)
    assert counted.renewals == 1
    leases.check(taken)


def test_keeping_alive_wins_back_neither_what_was_lost_nor_what_was_given_back(
    leases: Leases, journal: Journal
) -> None:
    lease = leases.take(*PLACE, "shop-1", "r", 60)
    with leases.keep_alive(lease, 60):
        write(journal, lease)
        taken = leases.take(*PLACE, "ada", "hands off", 60, force=True)
    leases.check(taken)
    with pytest.raises(Conflict, match="ada holds it"):
        leases.check(lease)
    with leases.keep_alive(taken, 60):
        leases.give_back(taken)
    assert leases.holder(*PLACE) is None


def test_in_memory_a_lease_is_kept_alive_through_days_of_virtual_time() -> None:
    clock = MemoryClock()
    leases = MemoryLeases(MemoryJournal(clock))
    lease = leases.take(*PLACE, "shop-1", "r", 30)
    with leases.keep_alive(lease, 30):
        clock.sleep(86_400)
        leases.check(lease)
    clock.sleep(29)
    leases.check(lease)
    clock.sleep(1)
    with pytest.raises(Conflict, match="expired"):
        leases.check(lease)


@pytest.mark.real
def test_a_connection_that_is_cut_is_unavailable_once_and_mended_by_itself(postgres_url: str) -> None:
    ledger = open_ledger(postgres_url)
    lease = SqlLeases(ledger).take(*PLACE, "shop-1", "r", 60)
    cut = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname is not null"
    with psycopg.connect(postgres_url, autocommit=True) as administrator:

        def read_and_be_cut() -> None:
            with ledger.reading() as connection:
                administrator.execute(cut)
                connection.exec_driver_sql("select 1")

        with pytest.raises(Unavailable):
            read_and_be_cut()
        SqlLeases(ledger).check(lease)
        administrator.execute(cut)
        SqlLeases(ledger).check(lease)
    ledger.close()


def test_who_acts_on_a_release_holds_the_lease_for_it(leases: Leases, journal: Journal) -> None:
    leases.give_back(leases.take(*PLACE, "shop-1/rollback by ada", "r", 60))
    assert [entry.fact.kind for entry in journal.entries(release="shop-1")] == ["lease taken", "lease returned"]
    assert {entry.actor for entry in journal.entries()} == {"shop-1/rollback by ada"}
