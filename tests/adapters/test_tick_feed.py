"""What a feed of ticks can get wrong."""

import pytest

from domain.errors import Invalid
from tests.adapters.story import BEFORE, NEW, STORY, Feed, said, total


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
