"""What Prometheus can get wrong, or be asked wrongly."""

import pytest

from domain.canary.bounds import bucket_above
from domain.canary.join import join
from domain.errors import Invalid
from tests.adapters.scraped import RealPrometheus, Scrapes
from tests.adapters.story import BEFORE, NEW, OLD, STORY, said, total


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


def test_a_scrape_between_two_questions_counts_at_the_next(scrapes: Scrapes) -> None:
    answer = scrapes.server.answer

    def late(path: str, given: dict[str, str]) -> tuple[int, object]:
        if given["query"].startswith("http_seconds_bucket"):
            scrapes.clock.sleep(0.1)
            scrapes.scrape()
        elif given["query"].startswith("up"):
            scrapes.scrape()
            scrapes.say({NEW: (20, 3)})
        return answer(path, given)

    scrapes.say(BEFORE)
    with scrapes.listen() as samples:
        scrapes.server.answer = late
        first = samples.tick()
        scrapes.server.answer = answer
        second = samples.tick()
    assert [cell.histogram for cell in first.cells] == [{}, {}]
    assert total([second]) == {NEW: (20, 3)}
    assert sum(second.cells[0].histogram.values()) == 20


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


@pytest.mark.parametrize("answer", [[], {}, {"status": "success"}, {"status": "success", "data": None}, "hello"])
def test_what_is_not_prometheus_is_told_so(answer: object) -> None:
    scrapes = Scrapes()
    scrapes.server.answer = lambda _path, _given: (200, answer)
    with pytest.raises(Invalid, match=r"not (Prometheus|JSON)"), scrapes.listen():
        pass
    scrapes.server.stop()


@pytest.mark.real
def test_the_real_one_tells_latency_levels_and_kpis(prometheus: RealPrometheus) -> None:
    prometheus.say(BEFORE)
    with prometheus.listen() as samples:
        prometheus.say({NEW: (20, 3)})
        ticks = []
        while total(ticks) != {NEW: (20, 3)} and len(ticks) < 20:
            ticks.append(samples.tick())
    [new] = [cell for cell in join(0, ticks).cells if (cell.arm, cell.replica) == NEW]
    assert new.histogram == {0: 17, bucket_above(5): 3}
    assert (new.kpi, new.gauges) == ({"orders": 17}, {"memory": 1020.0})


@pytest.mark.real
def test_the_real_one_has_the_same_words_for_it(prometheus: RealPrometheus) -> None:
    with (
        pytest.raises(Invalid, match="ranges only allowed for vector selectors"),
        prometheus.listen(requests="sum(up)"),
    ):
        pass
