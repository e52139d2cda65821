"""CloudWatch without a cloud: boto3's own client, its parameters checked by botocore, its answers made up here."""

from collections import defaultdict
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3

from adapters.cloudwatch import CloudWatch
from adapters.memory.clock import MemoryClock
from adapters.polling import Asking, Polling
from domain.release.measure import CloudWatchSpec
from tests.adapters.story import NEW, OLD, ROSTER, Counts


def metric(name: str, **more: Any) -> dict[str, Any]:
    return {"namespace": "Shop", "metric": name, "dimensions": {"Slot": "$slot"}, **more}


SPEC = {
    "kind": "cloudwatch",
    "region": "eu-west-1",
    "requests": metric("Requests"),
    "bad": metric("Failures", search=True),
    "latency": metric("Latency", stat="p99"),
    "period": 1,
}


class Clouded:
    """Two replicas' sums by metric, slot and second; both hand them in at once."""

    def __init__(self, **more: Any) -> None:
        self.clock = MemoryClock()
        self.sums: dict[tuple[str, str], dict[float, float]] = defaultdict(lambda: defaultdict(float))
        self.asked: list[dict[str, Any]] = []
        self.silent = self.refuses = False
        self.status = "Complete"
        self.spec = CloudWatchSpec.model_validate(SPEC | more)
        credentials = {"aws_access_key_id": "id", "aws_secret_access_key": "key"}
        self.client = boto3.session.Session().client("cloudwatch", region_name="eu-west-1", **credentials)
        events = self.client.meta.events
        events.register("before-parameter-build.cloudwatch.GetMetricData", self._note)
        events.register("before-call.cloudwatch.GetMetricData", self._answer)

    def listen(self) -> Polling:
        self.clock.sleep(1)  # what was said so far is another second's
        return Polling(Asking(CloudWatch(self.spec, ROSTER, self.client)), clock=self.clock)

    def say(self, counts: Counts) -> None:
        for place, slot in ((OLD, "blue"), (NEW, "green")):
            if place in counts:
                self.add(slot, *counts[place])

    def add(self, slot: str, requests: int, bad: int, ago: float = 0) -> None:
        at = self.clock.now() - ago
        self.sums["Requests", slot][at] += requests
        self.sums["Failures", slot][at] += bad
        self.sums["Latency", slot][at] = 12.5

    def silence(self, on: bool) -> None:
        self.silent = on

    def _note(self, params: dict[str, Any], **_: Any) -> None:
        self.asked.append(params)

    def _answer(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        if self.silent or self.refuses:
            status, code = (503, "ServiceUnavailable") if self.silent else (403, "AccessDenied")
            problem = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
            return SimpleNamespace(status_code=status, headers={}), problem
        asked = self.asked[-1]
        pages = [row for query in asked["MetricDataQueries"] for row in self._rows(query, asked)]
        half = len(pages) // 2
        return SimpleNamespace(status_code=200, headers={}), (
            {"MetricDataResults": pages[half:]}
            if asked.get("NextToken")
            else {"MetricDataResults": pages[:half], "NextToken": "more"}
        )

    def _rows(self, query: dict[str, Any], asked: dict[str, Any]) -> list[dict[str, Any]]:
        """A search finds each replica's own metric: half of the sum each, the odd one in the first."""
        if "MetricStat" in query:
            there = query["MetricStat"]["Metric"]
            shares = {1.0}
            key = there["MetricName"], there["Dimensions"][0]["Value"]
        else:
            shares = {0.25, 0.75}
            key = "Failures", "green" if 'Slot"="green"' in query["Expression"] else "blue"
        start, end = asked["StartTime"].timestamp(), asked["EndTime"].timestamp()
        points = {at: value for at, value in self.sums[key].items() if start <= at < end}
        return [
            {
                "Id": query["Id"],
                "Timestamps": [datetime.fromtimestamp(at, UTC) for at in points],
                "Values": [value * share for value in points.values()],
                "StatusCode": self.status,
            }
            for share in shares
        ]
