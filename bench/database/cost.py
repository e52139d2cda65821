"""What something costs on a machine that others use, too: CPU seconds, of everybody who works for it."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")  # of /proc, per second


@dataclass(frozen=True)
class Cost:
    """CPU seconds of the server and of the clients, and seconds by the clock."""

    cpu: float
    wall: float

    def __add__(self, other: "Cost") -> "Cost":
        """Do one after the other."""
        return Cost(self.cpu + other.cpu, self.wall + other.wall)


@contextmanager
def watch(postmaster: int) -> Iterator[Callable[[], Cost]]:
    """Add up what is spent inside by the server, by this process and by the children that it waits for."""

    def now() -> Cost:
        return Cost(tree(processes(), postmaster) / TICK + sum(os.times()[:4]), time.monotonic())

    before, after = now(), list[Cost]()
    yield lambda: Cost(after[0].cpu - before.cpu, after[0].wall - before.wall)
    after.append(now())


def processes() -> dict[int, tuple[int, int]]:
    """Read of every process who its parent is, and its ticks: its own, and those of children that it has buried."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(file.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    return found


def tree(known: Mapping[int, tuple[int, int]], root: int) -> int:
    """Add up the ticks of a process and of all below it; a backend that ended is in its postmaster's."""
    below = sum(tree(known, pid) for pid, (parent, _) in known.items() if parent == root)
    return below + (known[root][1] if root in known else 0)
