"""One run of a batch as the ticks that a real judge reads: the same counts, only spelt out."""

from collections.abc import Iterator

from bench.canary.world import Batch, Counts
from domain.canary.tick import Arm, Cell, Tick


def tick(batch: Batch, run: int) -> Tick:
    """Turn one run's look into a tick; like the router's log it has no cell for a host that nobody called."""
    cells = (*_cells("candidate", batch.candidate, run), *_cells("stable", batch.stable, run))
    return Tick(second=batch.second, cells=cells)


def _cells(arm: Arm, counts: Counts, run: int) -> Iterator[Cell]:
    for host, requests in enumerate(counts.requests[run].tolist()):
        if requests:
            filled = {} if counts.histogram is None else _sparse(counts.histogram[run, host].tolist())
            bad = int(counts.bad[run, host])
            yield Cell(arm=arm, replica=f"{arm}-{host}", requests=requests, bad=bad, histogram=filled)


def _sparse(histogram: list[int]) -> dict[int, int]:
    return {bucket: count for bucket, count in enumerate(histogram) if count}
