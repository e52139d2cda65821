"""What one replica does alone, what people say of it, and what is no replica at all."""

import numpy as np
import pytest

from domain.canary.calibration import known
from domain.canary.criteria import Criteria, Kpi
from domain.canary.judge import Judge
from domain.canary.sitting import Sitting
from domain.canary.tick import Arm, Cell, Tick
from domain.canary.verdict import Verdict
from domain.facts import Entry, Fact, Judged, Looked

CRITERIA = Criteria(error_floor=0.005, harm_budget=0.005, latency=None)


def arms(second: int, **replicas: tuple[int, int]) -> Tick:
    """Name replicas c1, c2 … of the candidate and s1, s2 … of the stable version, with (requests, bad)."""
    sides: dict[str, Arm] = {"c": "candidate", "s": "stable"}
    cells = [Cell(arm=sides[name[0]], replica=name, requests=n, bad=x) for name, (n, x) in replicas.items()]
    return Tick(second=second, cells=tuple(cells))


def some(random: np.random.Generator, n: int, p: float) -> tuple[int, int]:
    return n, int(random.binomial(n, p))


def first(judge: Judge, ticks: list[Tick]) -> Verdict:
    return next(it for it in map(judge.look, ticks) if it.decision not in ("continue", "promote"))


def judge_at(share: int, criteria: Criteria = CRITERIA) -> Judge:
    judge = Judge(criteria)
    judge.enter(share, 10_000)
    return judge


def test_a_drained_replica_speaks_neither_against_the_version_nor_for_it() -> None:
    random = np.random.default_rng(8)
    both = [arms(t, c1=some(random, 20, 0.3), c2=(20, 0), c3=(20, 0), s1=(540, 0)) for t in range(120)]
    judge = judge_at(1000)
    assert (verdict := first(judge, both)).decision == "drain"
    judge.overrule()
    rest = [judge.look(arms(200 + t, c2=(30, 0), c3=(30, 0), s1=(540, 0))).decision for t in range(120)]
    assert (verdict.host, set(rest), rest[0]) == ("c1", {"continue", "promote"}, "continue")


def test_a_second_broken_replica_is_told_after_the_first_and_harm_on_all_still_goes_back() -> None:
    random = np.random.default_rng(4)
    judge = judge_at(1000)
    three = [arms(t, c1=some(random, 20, 0.3), c2=(20, 0), c3=(20, 0), c4=(20, 0), s1=(720, 0)) for t in range(120)]
    assert first(judge, three).host == "c1"
    judge.overrule()
    two = [arms(200 + t, c2=some(random, 26, 0.3), c3=(27, 0), c4=(27, 0), s1=(720, 0)) for t in range(120)]
    assert (second := first(judge, two)).host == "c2", second
    judge.overrule()
    all_left = [arms(400 + t, c3=some(random, 40, 0.2), c4=some(random, 40, 0.2), s1=(720, 0)) for t in range(120)]
    assert first(judge, all_left).decision == "roll back"


def test_people_may_go_on_with_a_split_that_is_off_and_are_asked_again_at_the_next_share() -> None:
    judge = judge_at(1000)
    off = [arms(t, c1=(100, 0), s1=(100, 0)) for t in range(200)]
    assert "10 % of the traffic was meant" in first(judge, off).reasons[0]
    judge.overrule()
    assert "hold" not in {judge.look(one).decision for one in off}
    judge.enter(2000, 10_000)
    assert first(judge, off).decision == "hold"


def test_whoever_looks_on_after_a_hold_has_peoples_word_for_it_also_when_it_is_replayed() -> None:
    off = [Looked(share=1000, next_share=5000, tick=arms(t, c1=(100, 0), s1=(100, 0))) for t in range(60)]
    held = Judged(share=1000, verdict=Verdict(decision="hold", reasons=("the split",)))

    def decisions(facts: list[Fact]) -> list[str]:
        said = {"at": "", "actor": "", "release": "r", "service": "shop", "previous": "", "hash": ""}
        entries = [
            Entry(seq=seq, environment="production", fact=fact, **said) for seq, fact in enumerate(facts, start=1)
        ]
        told = Sitting(Judge(CRITERIA)).recall(entries, "production")
        return [verdict.decision for _, verdict in told if verdict]

    assert decisions([*off, off[0]])[-2:] == ["hold", "hold"]
    assert decisions([*off, held, off[0]])[-2] == "hold"
    assert decisions([*off, held, off[0]])[-1] != "hold"


def test_levels_and_business_counts_alone_make_no_replica() -> None:
    """A source of levels knows replicas that get no request: with it, one broken replica of one is the version."""
    random = np.random.default_rng(2)
    extra = Cell(arm="candidate", replica="", requests=0, bad=0, kpi={"orders": 3}, gauges={"cpu": 0.1})
    judge = judge_at(1000)
    ticks = [arms(t, c1=some(random, 20, 0.3), s1=(180, 0)) for t in range(60)]
    ticks = [tick.model_copy(update={"cells": (*tick.cells, extra)}) for tick in ticks]
    assert first(judge, ticks).decision == "roll back"


def test_a_sibling_that_hardly_gets_requests_cannot_vouch_for_the_version() -> None:
    random = np.random.default_rng(6)
    ticks = [arms(t, c1=some(random, 40, 0.2), c2=(int(t % 20 == 0), 0), s1=(360, 0)) for t in range(60)]
    assert first(judge_at(1000), ticks).decision == "roll back"


def test_business_counts_of_another_source_are_counted_per_request_of_the_arm() -> None:
    """A query tells orders every ten seconds, in cells of its own that hold no request."""

    def said(orders_of_candidate: float) -> set[str]:
        random = np.random.default_rng(3)
        judge = judge_at(1000, CRITERIA.model_copy(update={"kpis": {"orders": Kpi()}}))
        reasons = set()
        for t in range(900):
            cells = list(arms(t, c1=(100, 0), s1=(900, 0)).cells)
            if t % 10 == 9:
                told: list[tuple[Arm, float]] = [("candidate", orders_of_candidate), ("stable", 180.0)]
                counts = [(arm, int(random.poisson(n))) for arm, n in told]
                cells += [Cell(arm=arm, replica="", requests=0, bad=0, kpi={"orders": n}) for arm, n in counts]
            verdict = judge.look(Tick(second=t, cells=tuple(cells)))
            reasons |= {verdict.reasons[0]} if verdict.decision == "roll back" else set()
        return reasons

    assert said(20.0) == set()
    assert any("orders drops" in reason for reason in said(8.0))


def test_a_declared_spread_stands_in_place_of_what_was_measured() -> None:
    random = np.random.default_rng(5)
    hour = [arms(t, c1=some(random, 500, 0.01), c2=some(random, 500, 0.03)) for t in range(1500)]
    assert known(hour, "candidate", None).errors > 0.3
    assert known(hour, "candidate", 0.1).errors == pytest.approx(0.1)
    assert known([], "candidate", 0.1).source.startswith("declared")
