"""Ticks as other programs write them: read right, in both arms alike, and refused with everything that is wrong."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.canary.bounds import Bounds, bucket_above, misfits
from domain.canary.join import join
from domain.canary.tick import BOUNDARIES, Cell, Tick
from domain.canary.wire import Succession, tick_from
from domain.errors import Invalid

EXAMPLE = {
    "t": 12.0,
    "seq": 17,
    "arms": {
        "canary": {
            "web-1": {
                "requests": 250,
                "bad": 1,
                "latency_ms": [[5, 120], [10, 100], [20, 30]],
                "gauges": {"cpu": 0.41},
                "kpi": {"orders": 7},
            }
        },
        "baseline": {"web-2": {"requests": 240}},
    },
}


def latency(*pairs: list[Any], arm: str = "canary", requests: int = 100) -> dict[str, Any]:
    return {"arms": {arm: {"web-1": {"requests": requests, "latency_ms": list(pairs)}}}}


def histogram(tick: Tick) -> dict[int, int]:
    [cell] = tick.cells
    return cell.histogram


def test_the_example_is_read_whole() -> None:
    tick = tick_from(EXAMPLE)
    assert tick == Tick(
        second=12,
        cells=(
            Cell(
                arm="candidate",
                replica="web-1",
                requests=250,
                bad=1,
                histogram={0: 120, bucket_above(5): 100, bucket_above(10): 30},
                gauges={"cpu": 0.41},
                kpi={"orders": 7},
            ),
            Cell(arm="stable", replica="web-2", requests=240, bad=0),
        ),
    )


def test_what_is_made_without_validation_is_as_if_validated() -> None:
    tick = tick_from(EXAMPLE)
    again = Tick.model_validate_json(tick.model_dump_json())
    assert again == tick
    assert again.model_fields_set == tick.model_fields_set
    assert tick.model_copy(update={"second": 3}).second == 3
    with pytest.raises(ValueError, match="frozen"):
        tick.second = 4  # type: ignore[misc]  # the freeze is what is tried


@pytest.mark.parametrize("plain", [{}, {"t": 3}, {"arms": {}}, {"arms": {"canary": {}}}])
def test_an_idle_look_is_an_empty_tick(plain: dict[str, Any]) -> None:
    assert tick_from(plain) == Tick(second=plain.get("t", 0))


def test_an_observation_counts_as_slow_only_when_it_certainly_is() -> None:
    bounds = Bounds([5, 10, 20])
    read = histogram(tick_from(latency([10, 3], [None, 4]), bounds))
    for bucket, lower in zip(read, (5, 20), strict=True):
        begins, ends = BOUNDARIES[bucket - 1] / 1000, BOUNDARIES[bucket] / 1000
        assert begins <= lower * (1 + 1e-9) < ends
    assert list(read.values()) == [3, 4]


def test_empty_buckets_may_be_left_out_once_their_bounds_are_known() -> None:
    bounds = Bounds()
    tick_from(latency([5, 1], [10, 1], [20, 1]), bounds)
    assert histogram(tick_from(latency([20, 9]), bounds)) == {bucket_above(10): 9}
    assert histogram(tick_from(latency([20, 9]))) == {0: 9}  # who never heard of 10 and 5 cannot say it was slow


def test_a_bound_that_one_arm_brings_holds_for_the_other_in_the_same_look() -> None:
    plain = {"arms": latency([20, 9])["arms"] | latency([10, 9], arm="baseline")["arms"]}
    canary, baseline = tick_from(plain).cells
    assert (canary.histogram, baseline.histogram) == ({bucket_above(10): 9}, {0: 9})


def test_bounds_finer_than_ours_are_added_up() -> None:
    assert histogram(tick_from(latency([5, 1], [5.01, 2], [5.02, 3]))) == {0: 1, bucket_above(5): 5}


def test_empty_buckets_leave_nothing_behind() -> None:
    assert histogram(tick_from(latency([5, 0], [10, 2], [20, 0]))) == {bucket_above(5): 2}


@given(st.lists(st.floats(0.05, 200_000), unique=True, min_size=1, max_size=40), st.data())
def test_no_count_is_lost_and_none_is_placed_above_its_bound(uppers: list[float], data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(0, 5), min_size=len(uppers), max_size=len(uppers)))
    pairs = sorted(zip(uppers, counts, strict=True))
    placed = histogram(tick_from(json.loads(json.dumps(latency(*map(list, pairs), requests=1_000)))))
    assert sum(placed.values()) == sum(counts)
    full = np.zeros(len(BOUNDARIES) + 1)
    for bucket, count in placed.items():
        full[bucket] = count
    for upper in uppers:
        at_most = sum(count for bound, count in pairs if bound <= upper)
        assert full[: bucket_above(upper) + 1].sum() >= at_most


@pytest.mark.parametrize(
    ("plain", "problem"),
    [
        ([], "a tick should be a JSON object"),
        ({"arm": {}}, "arm: unknown; known: arms, seq, t"),
        ({"t": -1}, "t: should be a number of seconds"),
        ({"t": 1_763_750_000_000}, "t: should be a number of seconds"),
        ({"t": math.nan}, "t: should be a number of seconds"),
        ({"t": True}, "t: should be a number of seconds"),
        ({"seq": 1.5}, "seq: should be a whole number"),
        ({"arms": []}, "arms: should hold canary and baseline"),
        ({"arms": {"control": {}}}, "arms.control: unknown; known: baseline, canary"),
        ({"arms": {"canary": []}}, "arms.canary: should hold replicas by name"),
        ({"arms": {"canary": {"a": 3}}}, "arms.canary.a: should hold requests and more"),
        ({"arms": {"canary": {"a": {}}}}, "arms.canary.a: no requests"),
        ({"arms": {"canary": {"a": {"requests": -1}}}}, "arms.canary.a.requests: should be a whole number"),
        ({"arms": {"canary": {"a": {"requests": True}}}}, "arms.canary.a.requests: should be a whole number"),
        ({"arms": {"canary": {"a": {"requests": 10**13}}}}, "arms.canary.a.requests: should be a whole number"),
        ({"arms": {"canary": {"a": {"requests": 1, "bad": 2}}}}, "arms.canary.a.bad: should be a whole number, not"),
        ({"arms": {"canary": {"a": {"requests": 1, "errors": 2}}}}, "arms.canary.a.errors: unknown; known: bad"),
        ({"arms": {"canary": {"a": {"requests": 1, "gauges": {"cpu": math.inf}}}}}, "a.gauges: should hold numbers"),
        ({"arms": {"canary": {"a": {"requests": 1, "kpi": {"orders": 0.5}}}}}, "a.kpi: should hold whole numbers"),
        (latency([5, 90], [10, 20]), "web-1.latency_ms: counts 110, more than requests"),
        *((latency(wrong), "web-1.latency_ms: should be a list of") for wrong in ([5], [5, 1, 1], 5, "ab", None)),
        *((latency([upper, 1]), "web-1.latency_ms: should be") for upper in (0, -1, math.inf, math.nan, "5", [], True)),
        *((latency([5, count]), "web-1.latency_ms: should be") for count in (-1, 1.0, "1", None, True)),
        ({"arms": {"canary": {"a": {"requests": 1, "latency_ms": 5}}}}, "a.latency_ms: should be a list"),
    ],
)
def test_what_is_wrong_is_named(plain: Any, problem: str) -> None:
    with pytest.raises(Invalid) as caught:
        tick_from(plain)
    assert problem in caught.value.message


def test_all_problems_of_an_object_come_at_once() -> None:
    wrong = {"t": "x", "seq": -1, "arms": {"canary": {"a": {"bad": 1}}, "baseline": {"b": {"requests": 1, "bad": 2}}}}
    with pytest.raises(Invalid) as caught:
        tick_from(wrong)
    assert [line.split(": ")[0] for line in caught.value.message.splitlines()] == [
        "t",
        "seq",
        "arms.canary.a",
        "arms.baseline.b.bad",
    ]


def test_bounds_that_never_repeat_are_no_histogram() -> None:
    bounds = Bounds(range(1, 1_001))
    tick_from(latency([1_000, 1]), bounds)
    with pytest.raises(Invalid, match="different bounds"):
        tick_from(latency([1.5, 1]), bounds)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ([5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000], []),  # what Prometheus' clients start with
        ([0.1, 100_000], []),
        ([0.05, 1], ["the bound 0.05 ms is outside of 0.1 ms … 100000 ms"]),
        ([1, 200_000], ["the bound 200000 ms is outside of 0.1 ms … 100000 ms"]),
        ([10, 10.1, 20], ["the bounds 10 ms and 10.1 ms are in the same bucket of ours"]),
    ],
)
def test_bounds_that_our_scale_cannot_hold_are_named(bounds: list[float], said: list[str]) -> None:
    assert misfits(bounds) == said


def test_each_tick_counts_once_and_a_gap_is_noticed() -> None:
    told = Succession()
    said = [told.admit(seq, None) for seq in (17, 17, 18, 21, 19, 19, 20, 22)]
    assert said == ["", None, "", "ticks 19 to 20 did not come", "tick 19 came late", None, "tick 20 came late", ""]


def test_without_numbers_time_tells_what_was_told() -> None:
    told = Succession()
    assert [told.admit(None, t) for t in (5.0, 5.0, 4.0, 6.0)] == ["", None, None, ""]


def test_an_emitter_that_was_started_again_is_heard() -> None:
    told = Succession()
    said = [told.admit(*tick) for tick in ((17, 5.0), (0, 6.0), (0, 6.0), (1, 7.0))]
    assert said == ["", "the emitter has begun again at tick 0", None, ""]


def test_looks_are_added_up_replica_by_replica() -> None:
    parts = [tick_from(EXAMPLE), tick_from(EXAMPLE), Tick(second=1, missing="tick 3 did not come")]
    [canary, baseline] = join(7, parts).cells
    assert (canary.requests, canary.bad, canary.kpi, canary.gauges) == (500, 2, {"orders": 14}, {"cpu": 0.41})
    assert canary.histogram == {bucket: 2 * count for bucket, count in parts[0].cells[0].histogram.items()}
    assert baseline.requests == 480
    assert join(7, parts).missing == "tick 3 did not come"
