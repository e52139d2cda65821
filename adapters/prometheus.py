"""Prometheus as measurements: what its counters and classic histograms rose by, replica by replica."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from adapters.prometheus_series import PrometheusApi, Series
from domain.canary.bounds import Bounds, misfits
from domain.canary.roster import Place, Roster
from domain.canary.tick import Cell, Tick
from domain.errors import Invalid
from domain.ports import Secrets
from domain.release.measure import PrometheusSpec

_LATE = 2.5  # scrape intervals without a sample until it is told
_HISTORY = 300.0  # seconds looked back at the beginning, to know which series there are
Rises = Mapping[Place, Sequence[tuple[Series, float]]]


class Prometheus:
    """One route's series.

    Samples are told apart by their own time, so that each counts once however often it is read. A counter that falls
    was restarted and counts from zero, as in Prometheus' rate(); unlike there, a series that comes to be after its
    replica was scraped without it counts from zero, too: it may hold the only errors there are. A replica's samples
    count up to the last scrape that was complete when all were asked for, so that no error comes without its request.
    """

    def __init__(self, spec: PrometheusSpec, secrets: Secrets, roster: Roster) -> None:
        self._spec = spec
        self._roster = roster
        self._api = PrometheusApi(spec.url, secrets, spec.token)
        self._last: dict[tuple[str, frozenset[tuple[str, str]]], tuple[float, float]] = {}
        self._scraped: dict[Place, float] = {}
        self._before: dict[Place, float] = {}
        self._bounds: tuple[float, ...] = ()
        self._early: dict[Place, int] = defaultdict(int)
        self._asked = 0.0

    def news(self, now: float) -> Tick:
        """Count what the series rose by since the last question. Raises Invalid for what cannot be read, Unavailable.

        Whatever is raised, nothing is lost: samples are taken note of only after all questions were answered.
        """
        spec, window = self._spec, self._window(now)
        up = self._api.samples("up", spec.up, window)
        counters = {"requests": spec.requests, "bad": spec.bad, **{f"kpi.{k}": v for k, v in spec.kpi.items()}}
        counters |= {"latency": spec.latency} if spec.latency else {}
        read = {what: self._api.samples(what, selector, window) for what, selector in counters.items()}
        levels = {name: self._api.samples(f"gauges.{name}", it, window) for name, it in spec.gauges.items()}
        self._check_bounds(read.get("latency", ()))
        self._asked = now
        self._hear(up)
        rises = {what: self._rises(what, series) for what, series in read.items()}
        gauges = {name: self._levels(series) for name, series in levels.items()}
        places = sorted({place for each in (*rises.values(), *gauges.values()) for place in each})
        cells = (self._cell(place, rises, gauges) for place in places)
        seen = tuple(cell for cell in cells if cell.requests or cell.gauges or any(cell.kpi.values()))
        return Tick(second=int(now), cells=seen, missing=self._missing(now))

    def close(self) -> None:
        """Hang up."""
        self._api.close()

    def _window(self, now: float) -> float:
        back = now - self._asked if self._asked else _HISTORY
        return min(back + 4 * self._spec.interval, 3600.0)

    def _hear(self, up: Sequence[Series]) -> None:
        """Take note of when each replica was scraped; a scrape that failed is none."""
        self._before = dict(self._scraped)
        for series in up:
            times = [at for at, value in series.samples if value == 1]
            if times and (place := self._place(series)):
                self._scraped[place] = max(times[-1], self._scraped.get(place, 0.0))

    def _place(self, series: Series) -> Place | None:
        labels, spec = series.labels, self._spec
        return self._roster.place(labels.get(spec.arm) if spec.arm else None, labels.get(spec.replica))

    def _rises(self, what: str, found: Sequence[Series]) -> Rises:
        rises: dict[Place, list[tuple[Series, float]]] = defaultdict(list)
        for series in found:
            place = self._place(series)
            if place in self._scraped:
                rises[place].append((series, self._rise(what, series, place)))
        return rises

    def _rise(self, what: str, series: Series, place: Place) -> float:
        last, risen = self._last.get((what, series.key)), 0.0
        for at, value in series.samples:
            if at > self._scraped[place] or (last and at <= last[0]):
                continue
            if last:
                risen += value - last[1] if value >= last[1] else value
            elif place in self._before:
                risen += value
            last = at, value
        if last:
            self._last[what, series.key] = last
        return risen

    def _levels(self, found: Sequence[Series]) -> Mapping[Place, float]:
        """Add up the newest levels of each replica's series, such as memory by pool; what is older is gone."""
        levels: dict[Place, float] = defaultdict(float)
        for series in found:
            place = self._place(series)
            if place in self._scraped and series.samples and series.samples[-1][0] >= self._scraped[place]:
                levels[place] += series.samples[-1][1]
        return levels

    def _cell(self, place: Place, rises: Mapping[str, Rises], gauges: Mapping[str, Mapping[Place, float]]) -> Cell:
        sums = {what: round(sum(risen for _, risen in each.get(place, ()))) for what, each in rises.items()}
        bad = min(sums["requests"], sums["bad"] + self._early[place])  # a scrape may come between a client's two counts
        self._early[place] += sums["bad"] - bad
        return Cell(
            arm=place[0],
            replica=place[1],
            requests=sums["requests"],
            bad=bad,
            histogram=self._histogram(rises.get("latency", {}).get(place, ())),
            gauges={name: levels[place] for name, levels in gauges.items() if place in levels},
            kpi={name: sums[f"kpi.{name}"] for name in self._spec.kpi},
        )

    def _histogram(self, rises: Sequence[tuple[Series, float]]) -> dict[int, int]:
        """Read cumulative buckets into ours: each step's difference to the one below, above the bound below."""
        cumulative: dict[float, float] = defaultdict(float)
        for series, risen in rises:
            cumulative[_bound(series)] += risen
        buckets, histogram, below = Bounds(self._bounds), dict[int, int](), 0.0
        for bound, upto in sorted(cumulative.items()):
            if (count := round(upto - below)) > 0:
                bucket = buckets[bound if bound != float("inf") else None]
                histogram[bucket] = histogram.get(bucket, 0) + count
            below = max(below, upto)
        return histogram

    def _check_bounds(self, found: Sequence[Series]) -> None:
        """Refuse bounds that our scale cannot hold, and histograms with different ones: they cannot be compared."""
        sets: dict[tuple[float, ...], Mapping[str, str]] = {}
        histograms: dict[frozenset[tuple[str, str]], list[Series]] = defaultdict(list)
        newest = max((series.samples[-1][0] for series in found if series.samples), default=0.0)
        for series in found:
            alive = series.samples and series.samples[-1][0] >= newest - _LATE * self._spec.interval
            if alive and self._place(series):
                histograms[series.key - {("le", series.labels.get("le", ""))}].append(series)
        for each in histograms.values():
            sets[tuple(sorted(set(map(_bound, each)) - {float("inf")}))] = each[0].labels
        if len(sets) > 1:
            who = " and ".join(labels.get(self._spec.replica, "?") for labels in sets.values())
            raise Invalid(f"latency: {who} count into different buckets", "release one that has the same first")
        for bounds in sets:
            if problems := misfits(bounds):
                raise Invalid.all(
                    [f"latency: {said}" for said in problems], "choose other bounds, or leave latency out"
                )
            self._bounds = bounds

    def _missing(self, now: float) -> str:
        return "; ".join(self._late(now))

    def _late(self, now: float) -> Iterator[str]:
        """Say whose samples do not come: by name, or by arm where replicas have other names in Prometheus."""
        known = set(self._roster.places)
        others = {arm: at for (arm, name), at in sorted(self._scraped.items()) if (arm, name) not in known}
        for arm, name in sorted(known):
            at = self._scraped.get((arm, name), others.get(arm))
            if at is None:
                yield f"Prometheus has not scraped {name}"
            elif now - at > _LATE * self._spec.interval:
                yield f"Prometheus has not scraped {name} for {now - at:.0f} s"


def _bound(series: Series) -> float:
    """Read a bucket's upper bound in milliseconds. Raises Invalid when there is none."""
    try:
        return round(float(series.labels["le"]) * 1000, 9)
    except (KeyError, ValueError):
        raise Invalid(
            f"latency: {series.labels.get('__name__', 'a series')} has no bound `le`",
            "select the _bucket series of a classic histogram",
        ) from None
