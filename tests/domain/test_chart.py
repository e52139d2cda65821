"""The judge explained: what the chart and the report say, and that nothing in them breaks it."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import count
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.canary.story import CRITERIA, FAULTS, NAMES, RELEASE, story
from domain.canary.account.chart import draw
from domain.canary.account.headline import Names, duration, headline, odds, percent
from domain.canary.account.report import report
from domain.canary.account.sheet import ARMS
from domain.canary.account.summary import summary
from domain.canary.account.trace import MOST, Trace, trace
from domain.canary.criteria import Objective
from domain.canary.judge import Judge
from domain.canary.tick import Cell, Tick
from domain.canary.verdict import Verdict
from domain.facts import Entry, Judged, Looked
from domain.release.plan import Plan, Settled

NASTY = Names.of('<b>1.2"', "a&b|c`]('")
SVG = "{http://www.w3.org/2000/svg}"


def entry(number: int, fact: Looked | Judged) -> Entry:
    at = f"2026-11-21T10:{number // 60 % 60:02d}:{number % 60:02d}.000Z"
    return Entry(
        seq=number, at=at, actor="a", release=RELEASE, service="shop", environment="production", fact=fact,
        previous="", hash="",
    )  # fmt: skip


def looked(ticks: list[Tick], share: int = 1000) -> list[Entry]:
    return [entry(number, Looked(share=share, next_share=5000, tick=one)) for number, one in enumerate(ticks)]


def arms(second: int, candidate: tuple[int, int], stable: tuple[int, int]) -> Tick:
    cells = [
        Cell(arm=arm, replica=f"{arm}-0", requests=n, bad=x)
        for arm, (n, x) in (("candidate", candidate), ("stable", stable))
    ]
    return Tick.model_validate({"second": second, "cells": cells})


@pytest.fixture(scope="module")
def stories() -> dict[str, tuple[Entry, ...]]:
    return {name: story(FAULTS[name]) for name in ("good", "errors", "slow")}


@pytest.fixture
def told(stories: dict[str, tuple[Entry, ...]]) -> dict[str, Trace]:
    return {name: trace(entries, "production", Judge(CRITERIA)) for name, entries in stories.items()}


def texts(svg: str) -> list[str]:
    return [found.text or "" for found in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def points(svg: str) -> list[int]:
    """Count the points of every curve."""
    return [
        len(re.findall(r"[ML ]-?[\d.]+ ", path.get("d", ""))) for path in ElementTree.fromstring(svg).iter(f"{SVG}path")
    ]


def test_one_sentence_says_how_it_ended(told: dict[str, Trace]) -> None:
    assert headline(told["errors"], NAMES) == "v1.2.0 fails 5.5 % of requests, v1.1.0 0.05 %: sent back after 14 s"
    assert headline(told["good"], NAMES) == (
        "v1.2.0 fails 0.09 % of requests, v1.1.0 0.16 %: it has all traffic, after 3 min 3 s"
    )
    assert headline(told["slow"], NAMES) == (
        "v1.2.0 is held at 10 % after 2 min: not enough evidence yet about latency "
        "(9 of 10 requests within 187 ms, with v1.1.0 147 ms)"
    )


def test_while_it_is_watched_the_sentence_says_what_is_missing(stories: dict[str, tuple[Entry, ...]]) -> None:
    now = trace(stories["good"][:20], "production", Judge(CRITERIA))
    assert headline(now, NAMES) == (
        "v1.2.0 has 10 % of the traffic, watched for 20 s: not enough evidence yet about errors and latency"
    )


def test_a_version_that_is_sent_back_for_its_latency_is_accused_of_that() -> None:
    entries = story(FAULTS["slow"].model_copy(update={"latency": 2.0}))
    said = headline(trace(entries, "production", Judge(CRITERIA)), NAMES)
    within = r"(half|9 of 10|99 of 100) .*requests within \d+ ms, with v1\.1\.0 \d+ ms"
    assert re.fullmatch(rf"v1\.2\.0 is slower: {within}: sent back after \d+ s", said)


def test_a_version_that_a_guard_sends_back_is_accused_in_the_guards_words() -> None:
    criteria = CRITERIA.model_copy(update={"objective": Objective(success=99.9)})
    ticks = [arms(second, (100, 20), (900, 180)) for second in range(60)]
    judge = Judge(criteria)
    judge.enter(1000, 5000)
    verdicts = judge.looks(ticks)
    end = next(number for number, verdict in enumerate(verdicts, start=1) if verdict.decision == "roll back")
    entries = [*looked(ticks[:end]), entry(end, Judged(share=1000, verdict=verdicts[end - 1]))]
    said = headline(trace(entries, "production", Judge(criteria)), NAMES)
    assert re.fullmatch(r"v1\.2\.0 burns its error budget .* 99\.9 % allows, .*: sent back after \d+ s", said)


def test_the_chart_shows_both_versions_every_decision_and_what_is_needed(told: dict[str, Trace]) -> None:
    said = texts(draw(told["good"], NAMES))
    assert [word for word in said if word in ("may go on", "kept")] == ["may go on", "may go on", "kept"]
    assert any(word.startswith("v1.2.0 0.") for word in said)
    assert any(word.startswith("v1.1.0 0") for word in said)
    assert "needed: 20 : 1" in said
    assert "How slow?" in said
    back = texts(draw(told["errors"], NAMES))
    assert "sent back" in back
    assert "errors: enough" in back
    assert "at least 10 times" in back


def test_a_version_that_bakes_beside_what_is_held_back_gets_all_traffic_at_the_end() -> None:
    ticks = [arms(t, (95, 0), (5, 0)) for t in range(30)]
    entries = [entry(t, Looked(share=9500, next_share=9500, tick=one)) for t, one in enumerate(ticks)]
    promoted = Verdict(decision="promote", reasons=("no harm is shown",))
    told = trace([*entries, entry(30, Judged(share=9500, verdict=promoted))], "production", Judge(CRITERIA))
    assert headline(told, NAMES) == "v1.2.0 fails 0 % of requests, v1.1.0 0 %: it gets all traffic, after 30 s"
    assert "kept" in texts(draw(told, NAMES))


def test_without_latencies_there_is_no_panel_of_them() -> None:
    one = trace(looked([arms(t, (20, 0), (180, 0)) for t in range(30)]), "production", Judge(CRITERIA))
    said = texts(draw(one, NAMES))
    assert "How slow?" not in said
    assert not [word for word in said if word.startswith("latency")]


def test_the_same_looks_give_the_same_bytes(stories: dict[str, tuple[Entry, ...]]) -> None:
    again = [Entry.model_validate_json(one.model_dump_json(by_alias=True)) for one in stories["slow"]]
    one, other = (trace(entries, "production", Judge(CRITERIA)) for entries in (stories["slow"], again))
    assert draw(one, NAMES) == draw(other, NAMES)
    assert summary(one, NAMES) == summary(other, NAMES)


def test_the_evidence_that_is_drawn_is_that_of_the_recorded_verdicts(stories: dict[str, tuple[Entry, ...]]) -> None:
    judge_at = [n for n, one in enumerate(stories["good"]) if isinstance(one.fact, Judged)]
    for last in judge_at:
        drawn = trace(stories["good"][: last + 1], "production", Judge(CRITERIA))
        assert drawn.decided
        assert drawn.pieces[-1].findings == drawn.decided.findings


def test_many_looks_become_a_few_hundred_points_and_no_request_is_lost() -> None:
    ticks = [arms(t, (5 + t % 3, int(t % 50 == 0)), (45, int(t % 20 == 0))) for t in range(1300)]
    one = trace(looked(ticks), "production", Judge(CRITERIA.model_copy(update={"latency": None})))
    assert MOST / 2 <= len(one.pieces) <= MOST
    assert len({piece.looks for piece in one.pieces[:-1]}) == 1
    assert sum(piece.looks for piece in one.pieces) == one.looks == 1300
    for arm, _ in ARMS:
        drawn = [piece.arms[arm] for piece in one.pieces]
        assert sum(total.requests for total in drawn) == sum(tick.total(arm)[0] for tick in ticks)
        assert sum(total.bad for total in drawn) == sum(tick.total(arm)[1] for tick in ticks)
    assert max(points(draw(one, NAMES))) <= 2 * MOST + 2  # a band has two edges


def test_no_name_breaks_out_of_the_chart_or_the_tables(told: dict[str, Trace]) -> None:
    svg = draw(told["errors"], NASTY)
    assert any('<b>1.2"' in text for text in texts(svg))
    assert not list(ElementTree.fromstring(svg).iter(f"{SVG}b"))
    shown = summary(told["errors"], NASTY)
    row = next(line for line in shown.splitlines() if "&lt;b&gt;" in line)
    assert "<b>" not in shown
    assert len(re.findall(r"(?<!\\)\|", row)) == 8


class Page(HTMLParser):
    """What a browser would make of a page: its tags, and every address in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.addresses, self.words = list[str](), list[str](), list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href", "data", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_report_needs_nothing_from_elsewhere_and_holds_every_decision(
    stories: dict[str, tuple[Entry, ...]], plan: Callable[..., Plan], settled: Callable[..., Settled]
) -> None:
    drawn_up = plan(settled={"production": settled("<b>1.0.0</b>", "blue")}).model_copy(update={"criteria": CRITERIA})
    html = report(stories["good"], RELEASE, drawn_up, lambda _: Judge(drawn_up.criteria))
    page = Page(html)
    assert page.addresses == []
    assert not re.search(r"url\(|@import|<script", html)
    assert "b" not in page.tags
    assert page.tags.count("svg") == 1
    words = " ".join(page.words)
    for one in (e.fact.verdict for e in stories["good"] if isinstance(e.fact, Judged)):
        assert NAMES.within(one.reasons[0]).split(": ")[0].replace("v1.1.0", "<b>1.0.0</b>") in words
    assert {"candidate-0", "candidate-1", "stable-0", "stable-1", "error_floor", "harm_budget"} <= set(page.words)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0 %"), (0.00001, "under 0.01 %"), (0.0014, "0.14 %"), (0.051, "5.1 %"), (0.12, "12 %"), (1.0, "100 %")],
)
def test_a_part_is_said_as_people_say_it(value: float, said: str) -> None:
    assert percent(value) == said


def test_times_and_odds_are_said_as_people_say_them() -> None:
    assert [duration(s) for s in (23, 60, 250, 3600, 3900)] == ["23 s", "1 min", "4 min 10 s", "1 h", "1 h 5 min"]
    assert [odds(x) for x in (0.0, 5.5215, 60.0)] == ["1.0 : 1", "250 : 1", "over 1 000 000 : 1"]


counts = st.integers(0, 50).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
names = st.text(max_size=6)


@settings(max_examples=30, deadline=None)
@given(
    ticks=st.lists(st.tuples(counts, counts, st.sampled_from([1000, 5000, 10_000])), max_size=40),
    decision=st.sampled_from([None, "promote", "roll back", "hold", "drain"]),
    candidate=names,
    stable=names,
)
def test_whatever_was_seen_can_be_drawn(
    ticks: list[tuple[tuple[int, int], tuple[int, int], int]], decision: str | None, candidate: str, stable: str
) -> None:
    number = count()
    entries = [
        entry(next(number), Looked(share=share, next_share=10_000, tick=arms(t, own, other)))
        for t, (own, other, share) in enumerate(ticks)
    ]
    if decision:
        verdict = Verdict.model_validate({"decision": decision, "reasons": ["because"], "host": "web-1"})
        entries.append(entry(next(number), Judged(share=1000, verdict=verdict)))
    svg = draw(trace(entries, "production", Judge(CRITERIA)), replace(NAMES, candidate=candidate, stable=stable))
    numbers = [value for shape in ElementTree.fromstring(svg).iter() for value in shape.attrib.values()]
    assert not [value for value in numbers if re.search(r"\b(nan|inf)\b", value)]
