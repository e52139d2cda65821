"""The outbox: every notice arrives, once as a rule, whatever its channel does meanwhile."""

import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from adapters.memory.notices import MemoryNotices
from domain.errors import Invalid, Unavailable
from domain.ports import Post
from domain.post import MOST_TRIES, Notice

if TYPE_CHECKING:
    from conftest import Record


class Unreliable(MemoryNotices):
    """Loses the first `failures` notices of every key, and counts the attempts."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.failures, self.attempts, self.lock = failures, Counter[str](), threading.Lock()

    def deliver(self, group: str, title: str, body: str, key: str) -> None:
        with self.lock:
            self.attempts[key] += 1
        if self.attempts[key] <= self.failures:
            raise Unavailable(f"{group} does not answer")
        super().deliver(group, title, body, key)


@pytest.fixture
def outbox(record: "Record") -> Post:
    return record.post(lambda: 1.0)


def test_a_notice_arrives_once_even_when_it_is_put_in_twice(outbox: Post) -> None:
    notices = Unreliable()
    for body in ("1.2.0 serves", "something else by now"):
        outbox.enqueue("shop-1/released/ops", "ops", "shop", body)
    assert [notice.body for notice in outbox.due(0)] == ["1.2.0 serves"]
    assert outbox.deliver(notices, now=0) == 1
    outbox.enqueue("shop-1/released/ops", "ops", "shop", "1.2.0 serves")
    assert outbox.deliver(notices, now=10_000) == 0
    assert notices.delivered == {("ops", "shop-1/released/ops"): ("ops", "shop", "1.2.0 serves")}


def test_failures_are_tried_again_after_growing_waits_until_it_arrives(outbox: Post) -> None:
    notices = Unreliable(failures=3)
    outbox.enqueue("k", "ops", "t", "b")
    attempts = []
    for now in range(40):
        before = notices.attempts["k"]
        outbox.deliver(notices, now)
        if notices.attempts["k"] > before:
            attempts.append(now)
    assert attempts == [0, 2, 6, 14]
    assert ("ops", "k") in notices.delivered
    assert outbox.due(1e9) == outbox.dead() == ()


def test_jitter_spreads_the_waits(record: "Record") -> None:
    outbox, notices = record.post(), Unreliable(failures=1)
    for n in range(20):
        outbox.enqueue(str(n), "ops", "t", "b")
    outbox.deliver(notices, now=100)
    assert outbox.due(100 + 2 * 0.8 - 0.001) == ()
    early = len(outbox.due(102))
    assert 0 < early < 20
    assert len(outbox.due(100 + 2 * 1.2)) == 20


def test_a_notice_that_never_gets_through_is_given_up_and_listed(outbox: Post) -> None:
    notices = Unreliable(failures=99)
    outbox.enqueue("k", "ops", "t", "b")
    for now in range(0, 10_000, 400):
        assert outbox.deliver(notices, now) == 0
    assert notices.attempts["k"] == MOST_TRIES
    (dead,) = outbox.dead()
    assert (dead.key, dead.group, dead.tries, dead.error) == ("k", "ops", MOST_TRIES, "ops does not answer")


def test_a_group_without_a_target_is_given_up_at_once_and_blocks_nobody(outbox: Post) -> None:
    outbox.enqueue("1", "nobody", "t", "b")
    outbox.enqueue("2", "ops", "t", "b")
    notices = MemoryNotices(groups={"ops"})
    with pytest.raises(Invalid):
        notices.deliver("nobody", "t", "b", "1")
    assert outbox.deliver(notices, now=0) == 1
    assert [notice.key for notice in outbox.dead()] == ["1"]


def test_two_deliverers_do_not_both_send(record: "Record", monkeypatch: pytest.MonkeyPatch) -> None:
    deliverers = [record.post(), record.post()]
    for n in range(12):
        deliverers[0].enqueue(f"{n:02}", "ops", "t", "b")
    both_listed, both_sending, sent = threading.Barrier(2), threading.Barrier(2), list[int]()

    kind = type(deliverers[0])
    list_due = kind.due

    def listed_by_both(deliverer: Post, now: float) -> tuple[Notice, ...]:
        found = list_due(deliverer, now)
        both_listed.wait(30)
        return found

    monkeypatch.setattr(kind, "due", listed_by_both)

    class InStep(Unreliable):
        def deliver(self, group: str, title: str, body: str, key: str) -> None:
            super().deliver(group, title, body, key)
            both_sending.wait(30)

    notices = InStep()

    def deliver(deliverer: Post) -> None:
        sent.append(deliverer.deliver(notices, now=5))

    threads = [threading.Thread(target=deliver, args=(deliverer,)) for deliverer in deliverers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sent == [6, 6]
    assert set(notices.attempts.values()) == {1}
    assert len(notices.delivered) == 12


def test_what_a_deliverer_took_with_it_when_it_died_is_sent_later(outbox: Post) -> None:
    class Killed(MemoryNotices):
        def deliver(self, group: str, title: str, body: str, key: str) -> None:
            raise KeyboardInterrupt

    outbox.enqueue("k", "ops", "t", "b")
    with pytest.raises(KeyboardInterrupt):
        outbox.deliver(Killed(), now=0)
    notices = Unreliable()
    assert outbox.deliver(notices, now=10) == 0
    assert outbox.deliver(notices, now=130) == 1
    assert notices.attempts["k"] == 1


def test_a_late_failure_does_not_undo_what_another_deliverer_sent(outbox: Post) -> None:
    class Slow(MemoryNotices):
        """Takes so long that the notice is sent by somebody else meanwhile."""

        def deliver(self, group: str, title: str, body: str, key: str) -> None:
            assert outbox.deliver(Unreliable(), now=1000) == 1
            raise Unavailable("too late")

    outbox.enqueue("k", "ops", "t", "b")
    assert outbox.deliver(Slow(), now=0) == 0
    assert outbox.due(1e9) == outbox.dead() == ()


def test_what_another_deliverer_sent_since_it_was_listed_is_not_sent_again(outbox: Post) -> None:
    notices = Unreliable()

    class First(MemoryNotices):
        """While it delivers one notice, somebody else whose clock is behind delivers the other."""

        def deliver(self, group: str, title: str, body: str, key: str) -> None:
            outbox.deliver(notices, now=0)
            notices.deliver(group, title, body, key)

    for key in ("1", "2"):
        outbox.enqueue(key, "ops", "t", "b")
    assert outbox.deliver(First(), now=1000) == 1
    assert notices.attempts == {"1": 1, "2": 1}
