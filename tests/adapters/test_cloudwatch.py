"""What CloudWatch can get wrong, or be asked wrongly."""

import re

import pytest

from domain.errors import Invalid, Unavailable
from tests.adapters.clouded import Clouded, metric
from tests.adapters.story import BEFORE, NEW, OLD, said, total


def test_a_sum_that_grows_late_counts_what_it_grew_by(clouded: Clouded) -> None:
    with clouded.listen() as samples:
        clouded.say({NEW: (8, 4)})
        ticks = [samples.tick() for _ in range(4)]
        clouded.add("green", 4, 0, ago=4)
        ticks.append(samples.tick())
    assert [t.total("candidate") for t in ticks] == [(8, 4), (0, 0), (0, 0), (0, 0), (4, 0)]


def test_a_failure_waits_for_its_request(clouded: Clouded) -> None:
    with clouded.listen() as samples:
        clouded.add("green", 0, 4)
        early = samples.tick()
        clouded.add("green", 6, 0, ago=1)
        late = samples.tick()
    assert [early.total("candidate"), late.total("candidate")] == [(0, 0), (6, 4)]


def test_what_belongs_to_the_time_before_is_left_out_however_late_it_comes(clouded: Clouded) -> None:
    with clouded.listen() as samples:
        clouded.add("green", 100, 50, ago=3)
        assert total([samples.tick()]) == {}


def test_a_statistic_is_a_gauge_and_no_evidence_on_latency(clouded: Clouded) -> None:
    with clouded.listen() as samples:
        clouded.say({NEW: (10, 0)})
        [cell] = samples.tick().cells
    assert (cell.gauges, cell.histogram) == ({"latency_p99": 12.5}, {})


def test_an_arm_without_data_points_is_told(clouded: Clouded) -> None:
    with clouded.listen() as samples:
        ticks = []
        for _ in range(130):
            clouded.say({OLD: (1, 0)})
            ticks.append(samples.tick())
    assert said(ticks[:100]) == []
    assert re.fullmatch("CloudWatch has no data points of the candidate version for 1\\d\\d s", ticks[-1].missing)


def test_each_arm_is_asked_for_by_its_own_dimensions(clouded: Clouded) -> None:
    with clouded.listen():
        queries = {query["Id"]: query for query in clouded.asked[0]["MetricDataQueries"]}
    there = queries["requests_candidate"]["MetricStat"]
    assert (there["Period"], there["Stat"], there["Metric"]["Dimensions"]) == (
        1,
        "Sum",
        [{"Name": "Slot", "Value": "green"}],
    )
    search = """SEARCH('Namespace="Shop" MetricName="Failures" "Slot"="blue"', 'Sum', 1)"""
    assert queries["bad_stable"]["Expression"] == search


def test_a_dimension_that_an_arm_does_not_have_is_named(clouded: Clouded) -> None:
    with pytest.raises(Invalid, match="Requests: 'version' is not known of the candidate version"):
        Clouded(requests=metric("Requests", dimensions={"Version": "$version"})).listen()


def test_a_refusal_is_told_in_aws_words(clouded: Clouded) -> None:
    clouded.refuses = True
    with pytest.raises(Invalid, match="AccessDenied"), clouded.listen():
        pass


def test_half_an_answer_counts_nothing(clouded: Clouded) -> None:
    clouded.status = "InternalError"
    clouded.say(BEFORE)
    with pytest.raises(Unavailable, match="InternalError"), clouded.listen():
        pass
