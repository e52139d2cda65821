"""Look at the leases every few seconds beside a runner, and start a sweep as soon as one of an unfinished release ends.

Starting a sweep takes a process and three seconds of a core; looking takes one query. So the watch looks often and the
sweep is started when there is something to find.
"""

import logging
import threading
import time

from adapters.connect import House, open_house
from domain.facts import Entry
from domain.lease import carrier_of
from domain.release import state
from domain.release.recovery import seems_lost
from domain.release.state import ReleaseState
from flows import dispatch

_LOG = logging.getLogger("interlock.watch")
PERIOD = 2.0
"""Seconds between two looks."""
AGAIN = 15.0
"""Seconds after which a sweep that changed nothing is followed by another."""


class Watch:
    """What has been read of the journal so far, and when a sweep was last started."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._entries: list[Entry] = []
        self._quiet_until = 0.0

    def lost(self) -> list[ReleaseState]:
        """List the unfinished releases that nobody carries by their leases."""
        after = self._entries[-1].seq if self._entries else 0
        self._entries += self._house.journal.entries(kinds=("opened", "planned", "entered"), after=after)
        open_ones = {release.release for release in state.fold(self._entries).values() if not release.over}
        self._entries = [entry for entry in self._entries if entry.release in open_ones] or self._entries[-1:]
        return [release for release in state.fold(self._entries).values() if self._is_lost(release)]

    def look(self, now: float) -> bool:
        """Start a sweep when something is lost; tells whether one was started. `now` in seconds."""
        if now < self._quiet_until or not self.lost():
            return False
        dispatch.start("sweep/interlock", {})
        self._quiet_until = now + AGAIN
        return True

    def _is_lost(self, release: ReleaseState) -> bool:
        leases = self._house.leases
        carrier = leases.holder(release.service, carrier_of(release.release))
        environment = leases.holder(release.service, release.environment) if release.environment else None
        return seems_lost(release, carrier, environment)


def start() -> None:
    """Watch from a thread of its own until the process ends."""
    threading.Thread(target=_watch, name="watch", daemon=True).start()


def _watch() -> None:
    watch, pause = None, threading.Event()
    while not pause.wait(PERIOD):
        try:
            watch = watch or Watch(open_house())
            watch.look(time.monotonic())
        except Exception:  # a ledger or a server that is away: the next look finds what is to be found
            _LOG.exception("the watch could not look")
