"""Docker's statistics as gauges: how much CPU (cores) and memory (bytes) each replica uses."""

import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from adapters.docker_engine import Engine, speaking
from domain.canary.roster import Place, Roster
from domain.canary.tick import Cell, Tick
from domain.errors import ReleaseError

_STALE = 5.0  # seconds; the engine tells levels once a second
_AGAIN = 1.0  # seconds until a stream that ended is opened again


class DockerStats:
    """One stream per replica on the route, each in a thread, from the first question to the end.

    CPU is the time used between two messages over the time between them, by the engine's clock. Memory is what
    `docker stats` shows: without the page cache that the kernel can take back.
    """

    def __init__(self, engine: Engine, roster: Roster) -> None:
        self._engine = engine
        self._places = roster.places
        self._leaving = threading.Event()
        self._lock = threading.Lock()
        self._levels: dict[Place, tuple[float, dict[str, float]]] = {}
        self._began = 0.0
        self._threads: list[threading.Thread] = []

    def news(self, _now: float) -> Tick:
        """Tell the newest levels; a replica that was not heard of lately is named."""
        if not self._threads:
            self._listen()
        with self._lock:
            levels = dict(self._levels)
        now = time.monotonic()
        age = {place: now - levels.get(place, (self._began, {}))[0] for place in self._places}
        cells = (
            Cell(arm=place[0], replica=place[1], requests=0, bad=0, gauges=levels[place][1])
            for place in self._places
            if place in levels and age[place] <= _STALE
        )
        late = (f"no statistics of {place[1]} for {old:.0f} s" for place, old in age.items() if old > _STALE)
        return Tick(second=0, cells=tuple(cells), missing="; ".join(late))

    def close(self) -> None:
        """End the streams; one that is silent just now ends with its next message."""
        self._leaving.set()
        give_up = time.monotonic() + 2 * _AGAIN
        for thread in self._threads:
            thread.join(timeout=max(0.0, give_up - time.monotonic()))

    def _listen(self) -> None:
        """Raises Unavailable when the engine does not answer."""
        api, self._began = self._engine.api, time.monotonic()
        for place in self._places:
            thread = threading.Thread(target=self._follow, args=(api, place), name=f"stats-{place[1]}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _follow(self, api: Any, place: Place) -> None:
        while not self._leaving.is_set():
            before: Mapping[str, Any] = {}
            try:
                with speaking(f"statistics of {place[1]}"):
                    for row in api.stats(place[1], decode=True, stream=True):
                        if self._leaving.is_set():
                            return
                        if found := levels(before, row):
                            with self._lock:
                                self._levels[place] = time.monotonic(), found
                        before = row
            except ReleaseError:
                pass  # silence is told as such, with the replica's name
            self._leaving.wait(_AGAIN)


def levels(before: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, float]:
    """Read a message of the stream, and the one before it, as levels; a stopped container has none."""
    found: dict[str, float] = {}
    memory = row.get("memory_stats") or {}
    if "usage" in memory:
        parts = memory.get("stats") or {}
        found["memory"] = float(memory["usage"] - parts.get("inactive_file", parts.get("total_inactive_file", 0)))
    used, used_before = _cpu(row), _cpu(before)
    if used and used_before and used[0] > used_before[0] and used[1] >= used_before[1]:
        found["cpu"] = (used[1] - used_before[1]) / 1e9 / (used[0] - used_before[0])
    return found


def _cpu(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Read the moment (s) and the CPU time used until then (ns)."""
    total = ((row.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage")
    return (datetime.fromisoformat(row["read"]).timestamp(), float(total)) if total else None
