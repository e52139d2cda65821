"""An outbox in memory."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from domain.errors import ReleaseError
from domain.ports import Notices
from domain.post import CLAIM, Notice, after_failure


def _jitter() -> float:
    return random.uniform(0.8, 1.2)


@dataclass(slots=True)
class _Waiting:
    notice: Notice
    next_at: float = 0.0


class MemoryPost:
    """The Post port in memory; `jitter` scales each wait. Safe to use from threads."""

    def __init__(self, jitter: Callable[[], float] = _jitter) -> None:
        self._known: set[str] = set()
        self._waiting: dict[str, _Waiting] = {}
        self._dead: dict[str, Notice] = {}
        self._lock = threading.Lock()
        self._jitter = jitter

    def enqueue(self, key: str, group: str, title: str, body: str) -> None:
        """Put a notice in; a key that is known already changes nothing."""
        with self._lock:
            if key not in self._known:
                self._known.add(key)
                self._waiting[key] = _Waiting(Notice(key=key, group=group, title=title, body=body))

    def due(self, now: float) -> tuple[Notice, ...]:
        """List what wants to be sent now."""
        with self._lock:
            found = [waiting for waiting in self._waiting.values() if waiting.next_at <= now]
        return tuple(it.notice for it in sorted(found, key=lambda it: (it.next_at, it.notice.key)))

    def dead(self) -> tuple[Notice, ...]:
        """List what was given up, with the last error of each."""
        with self._lock:
            return tuple(self._dead.values())

    def deliver(self, notices: Notices, now: float) -> int:
        """Send everything that is due; return how many were sent. Several deliverers may run at once."""
        return sum(self._try(notices, notice, now) for notice in self.due(now) if self._claim(notice, now))

    def _claim(self, notice: Notice, now: float) -> bool:
        """Count a try and hide the notice from others meanwhile; False when another deliverer was first."""
        with self._lock:
            waiting = self._waiting.get(notice.key)
            if waiting is None or waiting.next_at > now:
                return False
            waiting.notice, waiting.next_at = notice.model_copy(update={"tries": notice.tries + 1}), now + CLAIM
            return True

    def _try(self, notices: Notices, notice: Notice, now: float) -> bool:
        try:
            notices.deliver(notice.group, notice.title, notice.body, notice.key)
        except ReleaseError as error:
            self._put_off(notice.key, notice.tries + 1, error, now)
            return False
        with self._lock:
            self._waiting.pop(notice.key, None)
        return True

    def _put_off(self, key: str, tries: int, error: ReleaseError, now: float) -> None:
        state, wait = after_failure(tries, error, self._jitter())
        with self._lock:
            if waiting := self._waiting.get(key):  # unless another deliverer sent it or gave it up meanwhile
                waiting.notice = waiting.notice.model_copy(update={"error": str(error)})
                waiting.next_at = now + wait
                if state == "dead":
                    self._dead[key] = self._waiting.pop(key).notice
