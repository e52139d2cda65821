"""What the judge saw and said of one release in one environment, look by look, in few enough pieces to be drawn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from domain.canary.judge import Judge
from domain.canary.sitting import Sitting
from domain.canary.tick import BOUNDARIES, Arm, Cell, Tick, quantile
from domain.canary.verdict import Finding, Verdict
from domain.facts import Entry, Judged, Looked

MOST = 300
"""Pieces at most: beyond that no screen shows more, and neighbours are added up."""


class Total:
    """Requests, failed ones and latencies; `repeated` failures are a client's second and later ones in a look."""

    def __init__(self) -> None:
        self.requests = self.bad = self.repeated = 0
        self.histogram = np.zeros(len(BOUNDARIES) + 1, dtype=np.int64)

    def add(self, other: "Cell | Total") -> None:
        """Count something more."""
        self.requests += other.requests
        self.bad += other.bad
        self.repeated += other.repeated
        if isinstance(other, Total):
            self.histogram += other.histogram
        else:
            for bucket, count in other.histogram.items():
                self.histogram[bucket] += count

    @property
    def rate(self) -> float | None:
        """Give the part that failed; None without requests."""
        return self.bad / self.requests if self.requests else None

    def within(self, q: float) -> float | None:
        """Give a quantile of latency in milliseconds, exact to a bucket of 4.9 %; None where none was measured."""
        return quantile(self.histogram, q) / 1000 if self.histogram.any() else None


@dataclass
class Piece:
    """Some looks in a row as one: counts are added up, share (basis points) and evidence are those of the last."""

    looks: int
    share: int
    findings: tuple[Finding, ...]
    arms: dict[Arm, Total] = field(default_factory=lambda: {"candidate": Total(), "stable": Total()})

    def join(self, later: "Piece") -> None:
        """Take a later piece in."""
        self.looks, self.share, self.findings = self.looks + later.looks, later.share, later.findings
        for arm, total in self.arms.items():
            total.add(later.arms[arm])


@dataclass
class Stretch:
    """Looks in a row at one share: from the number of the first one on, between two times of the journal.

    `last`: no other share is watched after it, whether it is all traffic or some is held back.
    """

    share: int
    last: bool
    first: int
    began: str
    ended: str
    looks: int = 0
    arms: dict[Arm, Total] = field(default_factory=lambda: {"candidate": Total(), "stable": Total()})


@dataclass(frozen=True)
class Said:
    """A decision as the journal has it, after so many looks; `last` where no other share is watched after it."""

    looks: int
    at: str
    share: int
    last: bool
    verdict: Verdict


class Trace:
    """A fold over one release's entries in one environment: equal entries give equal traces, in one piece or in many.

    However many looks there are, `pieces` are at most MOST, each as wide as the others but the last.
    """

    def __init__(self, environment: str, judge: Judge) -> None:
        """Begin with nothing, and with a judge who has seen nothing of it."""
        self.environment, self.criteria, self.spread = environment, judge.criteria, judge.spread.source
        self.looks, self.last = 0, Verdict(decision="continue", reasons=("nothing was looked at yet",))
        self.pieces: list[Piece] = []
        self.stretches: list[Stretch] = []
        self.said: list[Said] = []
        self.replicas: dict[tuple[Arm, str], Total] = {}
        self._sitting, self._width = Sitting(judge), 1

    @property
    def decided(self) -> Verdict | None:
        """Give the decision that stands; None while it is still being watched."""
        return self.said[-1].verdict if self.said and 0 < self.looks == self.said[-1].looks else None

    def take(self, entries: Iterable[Entry]) -> None:
        """Take the next looks and verdicts in; other facts, and other environments, say nothing here."""
        here = [e for e in entries if e.environment == self.environment and isinstance(e.fact, Looked | Judged)]
        recalled = self._sitting.recall(here, self.environment)
        for entry, (fact, verdict) in zip(here, recalled, strict=True):
            if isinstance(fact, Judged):
                last = bool(self.stretches) and self.stretches[-1].last
                self.said.append(Said(self.looks, entry.at, fact.share, last, fact.verdict))
            elif verdict:
                if not self.stretches or fact.share != self.stretches[-1].share:
                    last = fact.next_share <= fact.share
                    self.stretches.append(Stretch(fact.share, last, self.looks, entry.at, entry.at))
                self.last = verdict
                self._count(fact.tick, entry.at)

    def _count(self, tick: Tick, at: str) -> None:
        stretch = self.stretches[-1]
        piece = Piece(1, stretch.share, self.last.findings)
        for cell in tick.cells:
            piece.arms[cell.arm].add(cell)
            stretch.arms[cell.arm].add(cell)
            self.replicas.setdefault((cell.arm, cell.replica), Total()).add(cell)
        self.looks, stretch.looks, stretch.ended = self.looks + 1, stretch.looks + 1, at
        if self.pieces and self.pieces[-1].looks < self._width:
            self.pieces[-1].join(piece)
        else:
            self.pieces.append(piece)
        if len(self.pieces) > MOST:
            self._thin()

    def _thin(self) -> None:
        for one, other in zip(self.pieces[::2], self.pieces[1::2], strict=False):
            one.join(other)
        self.pieces = self.pieces[::2]
        self._width *= 2


def trace(entries: Sequence[Entry], environment: str, judge: Judge) -> Trace:
    """Fold what the journal has of one release."""
    told = Trace(environment, judge)
    told.take(entries)
    return told


def judged_in(entries: Iterable[Entry]) -> list[str]:
    """List the environments in which a release was looked at, in order."""
    return list(dict.fromkeys(entry.environment for entry in entries if isinstance(entry.fact, Looked)))
