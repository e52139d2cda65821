"""Ticks as other programs write them: one JSON object per look.

    {"t": 12.0, "seq": 17, "arms": {
       "canary":   {"web-1": {"requests": 250, "bad": 1, "latency_ms": [[5, 120], [10, 100], [null, 30]],
                              "gauges": {"cpu": 0.41}, "kpi": {"orders": 7}}},
       "baseline": {"web-2": {"requests": 240}}}}

`t` is in seconds. Latency is [upper bound, count], each request in one pair only; the bound null has no upper end. All
keys but `requests` may be left out. "canary" is our candidate and "baseline" our stable.

This is read ten thousand times a second, so the checks are written by hand: what passes them is a valid Tick.
"""

from collections.abc import Iterator, Set
from typing import Any

from domain.canary.bounds import Bounds, NewBound, is_bound
from domain.canary.tick import Arm, Cell, Tick
from domain.errors import Invalid
from domain.value import made

ARMS: dict[str, Arm] = {"canary": "candidate", "baseline": "stable"}
_TICK = {"t", "seq", "arms"}
_CELL = {"requests", "bad", "latency_ms", "gauges", "kpi"}
_INT = {int}
_MOST = 10**12  # of anything in one look; more is a mistake, and would one day overflow a sum
_LATEST = 1e11  # seconds; a `t` in milliseconds since 1970 is beyond it
_LONGEST_GAP = 1000  # numbers skipped that are still expected


class Succession:
    """Which ticks of one emitter were told: each counts once, and what never came is noticed."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._at = float("-inf")
        self._owed: set[int] = set()

    def admit(self, seq: int | None, t: float | None) -> str | None:
        """Take note of a tick by its number or, without one, its time; None: it was told before, count it not.

        Otherwise returns what is to be said of it, mostly nothing. A gap can only be seen in numbers.
        """
        later = t is not None and t > self._at
        self._at = max(self._at, t) if t is not None else self._at
        if seq is None:
            return "" if later else None
        if self._last is None:
            said = ""
        elif seq in self._owed:
            self._owed.discard(seq)
            return f"tick {seq} came late"
        elif seq <= self._last and not later:
            return None
        elif seq <= self._last:  # a number that was used, at a time that was not: the emitter was started again
            self._owed.clear()
            said = f"the emitter has begun again at tick {seq}"
        else:
            said = self._skip(range(self._last + 1, seq))
        self._last = seq
        return said

    def _skip(self, skipped: range) -> str:
        if not skipped:
            return ""
        self._owed.update(skipped[-_LONGEST_GAP:])
        which = f"tick {skipped[0]}" if len(skipped) == 1 else f"ticks {skipped[0]} to {skipped[-1]}"
        return f"{which} did not come"


def tick_from(plain: Any, bounds: Bounds | None = None) -> Tick:
    """Read one object, already parsed; hand over the same `bounds` for all objects of one emitter.

    Without `t` the tick's second is its `seq`, or 0. Raises Invalid with everything that is wrong with the object.
    """
    bounds = Bounds() if bounds is None else bounds
    try:
        return _tick(plain, bounds)
    except NewBound:  # learnt from the whole object before any of it is placed, so that both arms are read alike
        bounds.learn(_bounds_in(plain))
        return _tick(plain, bounds)


def _tick(plain: Any, bounds: Bounds) -> Tick:
    if type(plain) is not dict:
        raise Invalid("a tick should be a JSON object", "one object per look")
    problems = _unknown("", plain, _TICK)
    t, seq, arms = plain.get("t"), plain.get("seq"), plain.get("arms", {})
    if t is not None and (type(t) not in (int, float) or not 0 <= t < _LATEST):
        problems.append("t: should be a number of seconds, not negative")
    if seq is not None and not _whole(seq):
        problems.append("seq: should be a whole number, not negative")
    cells = list(_cells(arms, bounds, problems))
    if problems:
        raise Invalid.all(problems, "docs/guide.md, “Ticks from elsewhere”, shows one")
    return made(Tick, second=int(t) if t is not None else seq or 0, cells=tuple(cells), missing="")


def _cells(arms: Any, bounds: Bounds, problems: list[str]) -> Iterator[Cell]:
    if type(arms) is not dict:
        problems.append("arms: should hold canary and baseline")
        return
    problems += _unknown("arms.", arms, ARMS.keys())
    for word, arm in ARMS.items():
        replicas = arms.get(word, {})
        if type(replicas) is not dict:
            problems.append(f"arms.{word}: should hold replicas by name")
            continue
        for name in sorted(replicas):
            wrong: list[str] = []
            yield _cell(arm, name, replicas[name], bounds, wrong)
            if wrong:
                problems += [f"arms.{word}.{name}{said}" for said in wrong]


def _cell(arm: Arm, replica: str, plain: Any, bounds: Bounds, wrong: list[str]) -> Cell:
    if type(plain) is not dict:
        wrong.append(": should hold requests and more")
        plain = {"requests": 0}
    wrong += _unknown(".", plain, _CELL)
    requests, bad = plain.get("requests"), plain.get("bad", 0)
    if not _whole(requests):
        wrong.append(".requests: should be a whole number, not negative" if requests is not None else ": no requests")
    elif not _whole(bad) or bad > requests:
        wrong.append(".bad: should be a whole number, not more than requests")
    histogram = _histogram(plain["latency_ms"], requests, bounds, wrong) if "latency_ms" in plain else {}
    gauges, kpi = plain.get("gauges", {}), plain.get("kpi", {})
    if type(gauges) is not dict or not all(map(_level, gauges.values())):
        wrong.append(".gauges: should hold numbers by name")
    if type(kpi) is not dict or not all(map(_whole, kpi.values())):
        wrong.append(".kpi: should hold whole numbers by name, none negative")
    return made(
        Cell,
        arm=arm,
        replica=replica,
        requests=requests,
        bad=bad,
        repeated=0,
        histogram=histogram,
        gauges=gauges,
        kpi=kpi,
    )


def _histogram(pairs: Any, requests: Any, bounds: Bounds, wrong: list[str]) -> dict[int, int]:
    try:
        histogram = {bounds[upper]: count for upper, count in pairs}
        if len(histogram) < len(pairs):  # two of their buckets are one of ours
            histogram = dict.fromkeys(histogram, 0)
            for upper, count in pairs:
                histogram[bounds[upper]] += count
        counts = histogram.values()
        if pairs and (set(map(type, counts)) != _INT or min(counts) < 0):
            raise ValueError
    except (TypeError, ValueError):
        wrong.append(".latency_ms: should be a list of [upper bound > 0 or null, whole number]")
        return {}
    if type(requests) is int and sum(counts) > requests:
        wrong.append(f".latency_ms: counts {sum(counts)}, more than requests; a request belongs into one bucket only")
    return {bucket: count for bucket, count in histogram.items() if count} if 0 in counts else histogram


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST  # bool is another type, and not meant


def _level(value: Any) -> bool:
    return type(value) in (int, float) and -1e300 < value < 1e300  # neither infinite nor NaN


def _unknown(where: str, plain: dict[str, Any], known: Set[str]) -> list[str]:
    if plain.keys() <= known:
        return []
    return [f"{where}{key}: unknown; known: {', '.join(sorted(known))}" for key in plain if key not in known]


def _bounds_in(plain: Any) -> Iterator[float]:
    """List every bound that is one, wherever the object is well formed enough."""
    for replicas in plain["arms"].values():
        for cell in replicas.values() if type(replicas) is dict else ():
            pairs = cell.get("latency_ms") if type(cell) is dict else None
            for pair in pairs if type(pairs) is list else ():
                upper: Any = pair[0] if type(pair) is list and pair else None
                if is_bound(upper):
                    yield upper
