"""Every source of ticks under one contract, and then what each can get wrong in its own way."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.canary.bounds import bucket_above
from domain.canary.tick import Cell, Tick
from domain.errors import Invalid, Unavailable
from tests.adapters.clouded import Clouded, metric
from tests.adapters.measured import NEW, OLD, Counts, Feed, Memory, Stage
from tests.adapters.scraped import RealPrometheus, Scrapes

BEFORE: Counts = {OLD: (500, 50), NEW: (500, 50)}
STORY: list[Counts] = [{OLD: (90, 1), NEW: (10, 0)}, {OLD: (80, 0)}, {NEW: (20, 3)}]
WHOLE: Counts = {OLD: (170, 1), NEW: (30, 3)}


@pytest.fixture(params=["memory", "feed", "scrapes", "clouded", pytest.param("prometheus", marks=pytest.mark.real)])
def stage(request: pytest.FixtureRequest) -> Stage:
    return request.getfixturevalue(request.param)


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed()
    yield feed
    feed.server.stop()


@pytest.fixture
def scrapes() -> Iterator[Scrapes]:
    scrapes = Scrapes()
    yield scrapes
    scrapes.server.stop()


@pytest.fixture
def clouded() -> Clouded:
    return Clouded()


@pytest.fixture
def prometheus(tmp_path: Path, free_port: int) -> Iterator[RealPrometheus]:
    real = RealPrometheus(tmp_path, free_port)
    yield real
    real.stop()


def total(ticks: list[Tick]) -> Counts:
    cells = [cell for tick in ticks for cell in tick.cells if cell.requests]
    places = {(cell.arm, cell.replica) for cell in cells}
    return {
        place: (sum(c.requests for c in cells if (c.arm, c.replica) == place), sum_bad(cells, place))
        for place in places
    }


def seen(stage: Stage, counts: Counts) -> Counts:
    """Say what a stage can show of this traffic: CloudWatch knows no replicas."""
    return {(arm, ""): n for (arm, _), n in counts.items()} if isinstance(stage, Clouded) else counts


def sum_bad(cells: list[Cell], place: tuple[str, str]) -> int:
    return sum(cell.bad for cell in cells if (cell.arm, cell.replica) == place)


def said(ticks: list[Tick]) -> list[str]:
    return [tick.missing for tick in ticks if tick.missing]


# the contract


def test_what_happens_is_counted_once_in_its_arm_and_replica(stage: Stage) -> None:
    stage.say(BEFORE)
    with stage.listen() as samples:
        ticks = [samples.tick()]
        for counts in STORY:
            stage.say(counts)
            ticks += [samples.tick(), samples.tick()]
        while total(ticks) != seen(stage, WHOLE) and len(ticks) < 20:  # the real ones have a rhythm of their own
            ticks.append(samples.tick())
        ticks += [samples.tick()]
    assert total(ticks) == seen(stage, WHOLE)
    assert said(ticks) == []


def test_ticks_are_consecutive_seconds_and_one_without_requests_is_empty(stage: Stage) -> None:
    stage.say(BEFORE)
    with stage.listen() as samples:
        ticks = [samples.tick() for _ in range(3)]
    assert [tick.second - ticks[0].second for tick in ticks] == [0, 1, 2]
    assert total(ticks) == {}


# what comes over HTTP


@pytest.fixture(params=["feed", "scrapes", "clouded"])
def remote(request: pytest.FixtureRequest) -> Stage:
    return request.getfixturevalue(request.param)


def test_who_cannot_be_asked_cannot_be_listened_to(remote: Stage) -> None:
    remote.silence(True)
    with pytest.raises(Unavailable), remote.listen():
        pass


def test_a_source_that_falls_silent_says_so_and_loses_nothing(remote: Stage) -> None:
    remote.say(BEFORE)
    with remote.listen() as samples:
        remote.silence(True)
        remote.say(STORY[0])
        dark = [samples.tick() for _ in range(3)]
        remote.silence(False)
        light = [samples.tick() for _ in range(2)]
    assert total(dark) == {}
    assert all(re.search("HTTP 503|ServiceUnavailable", tick.missing) for tick in dark)
    assert total(light) == seen(remote, STORY[0])
    assert said(light) == []


@pytest.mark.parametrize("name", ["feed", "scrapes"])
def test_a_slow_request_is_slow_in_both_arms_alike(name: str, request: pytest.FixtureRequest) -> None:
    stage: Stage = request.getfixturevalue(name)
    stage.say(BEFORE)
    with stage.listen() as samples:
        stage.say({OLD: (9, 2), NEW: (9, 2)})
        [new, old] = samples.tick().cells
    assert new.histogram == old.histogram == {0: 7, bucket_above(5): 2}


# ticks that somebody serves


def tick(seq: int, requests: int = 1, **more: object) -> dict[str, object]:
    return {"seq": seq, "arms": {"canary": {"new-0": {"requests": requests}}}, **more}


def test_what_stands_still_is_noticed(feed: Feed) -> None:
    feed.say(BEFORE)
    with feed.listen() as samples:
        still = [samples.tick() for _ in range(8)]
        feed.say(STORY[0])
        moving = samples.tick()
    assert "nothing new for" in still[-1].missing
    assert moving.missing == ""


def test_ticks_lost_late_and_repeated_are_told_and_count_once(feed: Feed) -> None:
    feed.emit(tick(1))
    with feed.listen() as samples:
        ticks = []
        for seq in (2, 5, 5, 3, 4, 6):
            feed.ticks[:] = [tick(seq)]
            ticks.append(samples.tick())
    assert [t.total("candidate")[0] for t in ticks] == [1, 1, 0, 1, 1, 1]
    url = f"{feed.server.url}/ticks"
    assert said(ticks) == [
        f"{url}: ticks 3 to 4 did not come",
        f"{url}: tick 3 came late",
        f"{url}: tick 4 came late",
    ]


def test_ticks_served_out_of_order_are_put_in_order(feed: Feed) -> None:
    feed.emit(tick(1))
    with feed.listen() as samples:
        feed.ticks[:] = [tick(4), tick(2), tick(3)]
        one = samples.tick()
    assert (one.total("candidate"), one.missing) == ((3, 0), "")


def test_a_tick_that_changes_after_it_was_told_is_noticed(feed: Feed) -> None:
    feed.emit(tick(1))
    with feed.listen() as samples:
        feed.emit(tick(2, requests=10))
        ticks = [samples.tick()]
        feed.ticks[-1] = tick(2, requests=11)
        ticks.append(samples.tick())
    assert total(ticks) == {NEW: (10, 0)}
    assert "changed after it was told" in ticks[1].missing


def test_a_tick_without_number_and_time_is_refused(feed: Feed) -> None:
    feed.ticks.append({"arms": {}})
    with pytest.raises(Invalid, match="neither seq nor t"), feed.listen():
        pass


def test_a_bad_tick_on_the_way_is_told_and_spoils_no_good_one(feed: Feed) -> None:
    feed.emit(tick(1))
    with feed.listen() as samples:
        feed.ticks[:] = [tick(2), tick(3, requests=-1)]
        bad = samples.tick()
        feed.ticks[:] = [tick(2), tick(3)]
        good = samples.tick()
    assert (total([bad]), total([good])) == ({}, {NEW: (2, 0)})
    assert "arms.canary.new-0.requests" in bad.missing
    assert good.missing == ""


def test_a_token_is_sent_as_a_bearer() -> None:
    feed = Feed(token="secret://env/T")
    feed.emit(tick(1))
    with feed.listen():
        pass
    feed.server.stop()
    assert feed.server.headers == ["Bearer s3cret"]


# what Prometheus can get wrong


def test_a_counter_that_falls_was_restarted(scrapes: Scrapes) -> None:
    scrapes.say(BEFORE)
    with scrapes.listen() as samples:
        scrapes.replicas["10.0.0.2:8080"].restart()
        scrapes.say({NEW: (20, 3)})
        ticks = [samples.tick()]
    assert total(ticks) == {NEW: (20, 3)}


def test_the_first_error_there_ever_was_counts(scrapes: Scrapes) -> None:
    scrapes.say({NEW: (100, 0)})
    with scrapes.listen() as samples:
        scrapes.say({NEW: (2, 2)})
        ticks = [samples.tick()]
    assert total(ticks) == {NEW: (2, 2)}


def test_a_replica_that_is_first_scraped_late_brings_no_history(scrapes: Scrapes) -> None:
    scrapes.down.add("10.0.0.2:8080")
    scrapes.say(BEFORE)
    with scrapes.listen() as samples:
        dark = samples.tick()
        scrapes.down.clear()
        ticks = [samples.tick()]
        scrapes.say({NEW: (20, 3)})
        ticks.append(samples.tick())
    assert dark.missing == "Prometheus has not scraped new-0"
    assert total(ticks) == {NEW: (20, 3)}
    assert said(ticks) == []


def test_a_replica_that_is_no_longer_scraped_is_named_and_nothing_is_lost(scrapes: Scrapes) -> None:
    scrapes.say(BEFORE)
    with scrapes.listen() as samples:
        scrapes.down.add("10.0.0.1:8080")
        scrapes.say(STORY[0])
        dark = [samples.tick() for _ in range(4)]
        scrapes.down.clear()
        ticks = [*dark, samples.tick()]
    assert dark[-1].missing == "Prometheus has not scraped old-0 for 4 s"
    assert total(dark) == {NEW: (10, 0)}
    assert total(ticks) == STORY[0]
    assert ticks[-1].missing == ""


def test_gauges_are_levels_and_kpis_are_counts(scrapes: Scrapes) -> None:
    scrapes.say(BEFORE)
    with scrapes.listen() as samples:
        scrapes.say({OLD: (10, 1), NEW: (20, 0)})
        [new, old] = samples.tick().cells
        later = samples.tick()
    assert (new.gauges, old.gauges) == ({"memory": 1020.0}, {"memory": 1010.0})
    assert (new.kpi, old.kpi) == ({"orders": 20}, {"orders": 9})
    assert [(c.gauges["memory"], c.requests) for c in later.cells] == [(1020.0, 0), (1010.0, 0)]


@pytest.mark.parametrize(
    ("les", "problem"),
    [
        (("0.00005", "+Inf"), "latency: the bound 0.05 ms is outside of 0.1 ms … 100000 ms"),
        (("0.005", "0.0051", "+Inf"), "latency: the bounds 5 ms and 5.1 ms are in the same bucket of ours"),
    ],
)
def test_bounds_that_do_not_fit_ours_are_refused_by_name(scrapes: Scrapes, les: tuple[str, ...], problem: str) -> None:
    for replica in scrapes.replicas.values():
        replica.les = les
    scrapes.say(BEFORE)
    with pytest.raises(Invalid) as caught, scrapes.listen():
        pass
    assert caught.value.message == problem


def test_versions_that_count_into_different_buckets_are_not_compared(scrapes: Scrapes) -> None:
    scrapes.replicas["10.0.0.2:8080"].les = ("0.01", "+Inf")
    scrapes.say(BEFORE)
    with pytest.raises(Invalid, match=r"1:8080 and 10\.0\.0\.2:8080 count into different buckets"), scrapes.listen():
        pass


def test_what_prometheus_cannot_read_is_told_in_its_words() -> None:
    scrapes = Scrapes(requests="sum(http_requests_total)")
    with pytest.raises(Invalid, match="requests: ranges only allowed for vector selectors") as caught, scrapes.listen():
        pass
    scrapes.server.stop()
    assert "plain series" in caught.value.hint


@pytest.mark.real
def test_the_real_one_has_the_same_words_for_it(prometheus: RealPrometheus) -> None:
    with (
        pytest.raises(Invalid, match="ranges only allowed for vector selectors"),
        prometheus.listen(requests="sum(up)"),
    ):
        pass


# what CloudWatch can get wrong


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
    assert re.fullmatch("CloudWatch has no data points of the candidate for 1\\d\\d s", ticks[-1].missing)


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
    with pytest.raises(Invalid, match="Requests: 'version' is not known of the candidate"):
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
