"""The outbox: notices are kept first and delivered afterwards, at least once, so that no outage loses or blocks one."""

import random
from collections.abc import Callable

from sqlalchemy import ColumnElement, insert, select, update

from domain.errors import ReleaseError
from domain.ports import Notices
from domain.post import CLAIM, Notice, after_failure
from ledger.open import Ledger
from ledger.tables import OUTBOX


def _jitter() -> float:
    return random.uniform(0.8, 1.2)


class Outbox:
    """Notices on their way. Times are seconds since the epoch by the caller's clock; `jitter` scales each wait."""

    def __init__(self, ledger: Ledger, jitter: Callable[[], float] = _jitter) -> None:
        self._ledger = ledger
        self._jitter = jitter

    def enqueue(self, key: str, group: str, title: str, body: str) -> None:
        """Put a notice in; a key that is known already changes nothing."""
        row = {"key": key, "recipients": group, "title": title, "body": body, "state": "due", "next_at": 0.0}
        with self._ledger.writing() as connection:
            if connection.scalar(select(OUTBOX.c.key).where(OUTBOX.c.key == key)) is None:
                connection.execute(insert(OUTBOX), {**row, "tries": 0, "error": ""})

    def due(self, now: float) -> tuple[Notice, ...]:
        """List what wants to be sent now."""
        return self._listed("due", now)

    def dead(self) -> tuple[Notice, ...]:
        """List what was given up, with the last error of each."""
        return self._listed("dead", float("inf"))

    def deliver(self, notices: Notices, now: float) -> int:
        """Send everything that is due; return how many were sent. Several deliverers may run at once.

        What did not get through waits 2, 4, 8 … seconds (jittered) and is given up after MOST_TRIES; what can never get
        through, such as a notice to a group without a target, is given up at once. Nothing is raised for either.
        """
        return sum(self._try(notices, notice, now) for notice in self.due(now) if self._claim(notice, now))

    def _claim(self, notice: Notice, now: float) -> bool:
        """Count a try and hide the notice from others meanwhile; False when another deliverer was first."""
        claim = update(OUTBOX).where(*_still_due(notice), OUTBOX.c.next_at <= now)
        with self._ledger.writing() as connection:
            return bool(connection.execute(claim.values(tries=notice.tries + 1, next_at=now + CLAIM)).rowcount)

    def _try(self, notices: Notices, notice: Notice, now: float) -> bool:
        tries = notice.tries + 1
        try:
            notices.deliver(notice.group, notice.title, notice.body, notice.key)
        except ReleaseError as error:
            state, wait = after_failure(tries, error, self._jitter())
            self._note(notice, state=state, next_at=now + wait, error=str(error))
            return False
        self._note(notice, state="sent", error="")
        return True

    def _note(self, notice: Notice, **outcome: object) -> None:
        with self._ledger.writing() as connection:
            connection.execute(update(OUTBOX).where(*_still_due(notice)).values(**outcome))

    def _listed(self, state: str, now: float) -> tuple[Notice, ...]:
        query = (
            select(OUTBOX)
            .where(OUTBOX.c.state == state, OUTBOX.c.next_at <= now)
            .order_by(OUTBOX.c.next_at, OUTBOX.c.key)
        )
        with self._ledger.reading() as connection:
            rows = connection.execute(query).all()
        return tuple(
            Notice(key=r.key, group=r.recipients, title=r.title, body=r.body, tries=r.tries, error=r.error)
            for r in rows
        )


def _still_due(notice: Notice) -> tuple[ColumnElement[bool], ...]:
    """Match a notice unless another deliverer sent it or gave it up meanwhile."""
    return OUTBOX.c.key == notice.key, OUTBOX.c.state == "due"
