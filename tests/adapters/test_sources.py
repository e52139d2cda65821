"""Every source of ticks under one contract; what each can get wrong in its own way has a file of its own."""

import re

import pytest

from domain.canary.bounds import bucket_above
from domain.errors import Unavailable
from tests.adapters.clouded import Clouded
from tests.adapters.story import BEFORE, NEW, OLD, STORY, WHOLE, Counts, Stage, said, total


@pytest.fixture(
    params=["memory", "enriched", "feed", "scrapes", "clouded", pytest.param("prometheus", marks=pytest.mark.real)]
)
def stage(request: pytest.FixtureRequest) -> Stage:
    return request.getfixturevalue(request.param)


def seen(stage: Stage, counts: Counts) -> Counts:
    """Say what a stage can show of this traffic: CloudWatch knows no replicas."""
    return {(arm, ""): n for (arm, _), n in counts.items()} if isinstance(stage, Clouded) else counts


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
