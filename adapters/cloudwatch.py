"""Amazon CloudWatch as measurements: sums per arm and period, as long as they grow."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from string import Template
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from adapters import aws
from domain.canary.roster import Roster
from domain.canary.tick import Arm, Cell, Tick
from domain.errors import Invalid, Unavailable
from domain.release.measure import CloudWatchMetric, CloudWatchSpec

_BACK = 5  # periods looked back, and five minutes at least: that late may a replica hand in its sums
_SILENT = 3  # periods, and two minutes, without a data point of an arm until it is told
_ARMS: tuple[Arm, ...] = ("candidate", "stable")
Points = Mapping[float, float]


class CloudWatch:
    """One route's sums.

    A period's sum grows while replicas hand in their share of it, some of them late; what it grew by counts at each
    look, so that everything counts once. Periods that began before the first question are left out. Counts are those
    of the arm as a whole (replica ""). There is no histogram in CloudWatch, so there is no evidence on latency: a
    latency statistic is a gauge, to be looked at.
    """

    def __init__(self, spec: CloudWatchSpec, roster: Roster, client: Any = None) -> None:
        self._spec = spec
        self._client = client or aws.client("cloudwatch", spec)
        self._queries = list(_queries(spec, roster))
        self._counted: dict[str, dict[float, float]] = defaultdict(dict)
        self._began = 0.0
        self._newest: dict[Arm, float] = {}
        self._early: dict[Arm, int] = defaultdict(int)

    def news(self, now: float) -> Tick:
        """Count what the sums grew by. Raises Invalid when AWS refuses, Unavailable when it does not answer."""
        self._began = self._began or now
        found = self._read(now)
        cells = [self._cell(arm, found) for arm in _ARMS]
        seen = tuple(cell for cell in cells if cell.requests or cell.gauges)
        return Tick(second=int(now), cells=seen, missing="; ".join(self._silent(now)))

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _read(self, now: float) -> Mapping[str, Points]:
        """Ask for everything at once; results of one query are added up, as a search finds several."""
        back = max(_BACK * self._spec.period, 300)
        start = (now - back) // 60 * 60
        found: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
        try:
            pages = self._client.get_paginator("get_metric_data").paginate(
                MetricDataQueries=self._queries, StartTime=_moment(start), EndTime=_moment(now + self._spec.period)
            )
            for row in (row for page in pages for row in page["MetricDataResults"]):
                if row.get("StatusCode") in ("InternalError", "Forbidden"):
                    raise Unavailable(f"CloudWatch: {row['Id']}: {row['StatusCode']}", "check permissions; try again")
                for at, value in zip(row["Timestamps"], row["Values"], strict=True):
                    found[row["Id"]][at.timestamp()] += value
        except (BotoCoreError, ClientError) as error:
            raise aws.explained(error, "CloudWatch") from error
        return found

    def _cell(self, arm: Arm, found: Mapping[str, Points]) -> Cell:
        requests, failed = (self._rise(f"{what}_{arm}", found) for what in ("requests", "bad"))
        bad = min(requests, failed + self._early[arm])  # a failure waits for its request, which may be handed in later
        self._early[arm] += failed - bad
        if points := found.get(f"requests_{arm}"):
            self._newest[arm] = max(points)
        statistic = {at: value for at, value in found.get(f"latency_{arm}", {}).items() if at >= self._began}
        stat = self._spec.latency.stat if self._spec.latency else ""
        gauges = {f"latency_{stat}": statistic[max(statistic)]} if statistic else {}
        return Cell(arm=arm, replica="", requests=requests, bad=bad, gauges=gauges)

    def _rise(self, query: str, found: Mapping[str, Points]) -> int:
        counted, risen = self._counted[query], 0.0
        for at, value in found.get(query, {}).items():
            if at >= self._began and value > counted.get(at, 0.0):
                risen += value - counted.get(at, 0.0)
                counted[at] = value
        return round(risen)

    def _silent(self, now: float) -> Iterator[str]:
        for arm in _ARMS:
            since = now - max(self._newest.get(arm, 0.0) + self._spec.period, self._began)
            if since > _SILENT * self._spec.period + 120:
                yield f"CloudWatch has no data points of the {arm} version for {since:.0f} s"


def _queries(spec: CloudWatchSpec, roster: Roster) -> Iterator[Mapping[str, Any]]:
    for arm in _ARMS:
        wanted = {"requests": spec.requests, "bad": spec.bad} | ({"latency": spec.latency} if spec.latency else {})
        for what, metric in wanted.items():
            dimensions = _dimensions(metric, roster, arm)
            name = {"Id": f"{what}_{arm}", "ReturnData": True}
            if metric.search:
                said = "".join(f' "{key}"="{value}"' for key, value in dimensions.items())
                looked = f'Namespace="{metric.namespace}" MetricName="{metric.metric}"{said}'
                yield name | {"Expression": f"SEARCH('{looked}', '{metric.stat}', {spec.period})"}
            else:
                there = [{"Name": key, "Value": value} for key, value in dimensions.items()]
                one = {"Namespace": metric.namespace, "MetricName": metric.metric, "Dimensions": there}
                yield name | {"MetricStat": {"Metric": one, "Period": spec.period, "Stat": metric.stat}}


def _dimensions(metric: CloudWatchMetric, roster: Roster, arm: Arm) -> dict[str, str]:
    try:
        return {key: Template(value).substitute(roster.about(arm)) for key, value in metric.dimensions.items()}
    except (KeyError, ValueError) as error:
        known = ", ".join(f"${word}" for word in roster.about(arm))
        raise Invalid(
            f"CloudWatch: {metric.metric}: {error} is not known of the {arm} version", f"known: {known}"
        ) from None


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
