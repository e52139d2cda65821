"""The judge: quick with real harm, patient with noise, silent about what it has not seen."""

import numpy as np
import pytest

from domain.canary.judge import Judge, hold, measured, replay
from domain.canary.tick import Cell, Tick, gather, quantile
from domain.release.service import Criteria

CRITERIA = Criteria(error_floor=0.005, error_ratio=1.25, harm_budget=0.005)


def tick(second: int, candidate: tuple[int, int], stable: tuple[int, int]) -> Tick:
    cells = [
        Cell(arm=arm, replica=f"{arm}-0", requests=n, bad=x)
        for arm, (n, x) in (("candidate", candidate), ("stable", stable))
        if n
    ]
    return Tick.model_validate({"second": second, "cells": cells})


def traffic(seed: int, seconds: int, rps: float, share: float, p_candidate: float, p_stable: float) -> list[Tick]:
    random = np.random.default_rng(seed)
    ticks = []
    for second in range(seconds):
        n_c, n_s = random.poisson(rps * share), random.poisson(rps * (1 - share))
        arms = (n_c, random.binomial(n_c, p_candidate)), (n_s, random.binomial(n_s, p_stable))
        ticks.append(tick(second, *arms))
    return ticks


def decide(ticks: list[Tick], share: int = 1000, following: int = 5000) -> tuple[str, int]:
    judge = Judge(CRITERIA)
    judge.enter(share, following)
    for second, one in enumerate(ticks, start=1):
        if (decision := judge.look(one).decision) != "continue":
            return decision, second
    return "continue", len(ticks)


def test_a_candidate_that_fails_five_percent_goes_back_within_seconds_at_a_tenth_of_the_traffic() -> None:
    decisions = [decide(traffic(seed, 300, 150, 0.1, 0.05, 0.0)) for seed in range(40)]
    assert {decision for decision, _ in decisions} == {"roll back"}
    assert np.median([second for _, second in decisions]) < 20


def test_an_equal_candidate_is_almost_never_sent_back_however_often_one_looks() -> None:
    # 100 releases of six minutes, a look every second; alpha 1 %: one false alarm is expected, four have P < 2 %.
    back = 0
    for seed in range(100):
        judge = Judge(CRITERIA)
        judge.enter(1000, 5000)
        verdicts = [judge.look(one).decision for one in traffic(seed, 360, 50, 0.1, 0.01, 0.01)]
        back += "roll back" in verdicts
    assert back <= 3


def test_a_healthy_candidate_is_promoted_once_harm_is_ruled_out() -> None:
    decisions = [decide(traffic(seed, 300, 150, 0.1, 0.0002, 0.0002)) for seed in range(20)]
    assert [decision for decision, _ in decisions].count("promote") >= 18


def test_a_late_fault_is_not_excused_by_a_long_healthy_start() -> None:
    judge = Judge(CRITERIA)
    judge.enter(10_000, 10_000)
    good = [judge.look(one).decision for one in traffic(1, 600, 100, 1.0, 0.0, 0.0)]
    bad = [judge.look(one).decision for one in traffic(2, 60, 100, 1.0, 0.2, 0.0)]
    assert "roll back" not in good
    assert "roll back" in bad[:5]


def test_errors_that_both_arms_share_do_not_send_the_candidate_back() -> None:
    assert decide(traffic(7, 300, 150, 0.1, 0.08, 0.08))[0] == "continue"


@pytest.mark.parametrize("arms", [((0, 0), (100, 0)), ((100, 0), (0, 0)), ((0, 0), (0, 0))])
def test_without_requests_in_both_arms_nothing_is_decided(arms: tuple[tuple[int, int], tuple[int, int]]) -> None:
    judge = Judge(CRITERIA)
    judge.enter(1000, 5000)
    verdicts = [judge.look(tick(second, *arms)) for second in range(500)]
    assert {verdict.decision for verdict in verdicts} == {"continue"}
    assert "no request has reached" in verdicts[-1].reasons[0]


def test_the_end_of_patience_holds_and_never_promotes() -> None:
    judge = Judge(CRITERIA)
    judge.enter(1000, 5000)
    verdict = hold(judge.look(tick(0, (3, 0), (30, 0))), 600)
    assert verdict.decision == "hold"
    assert "no decision after 600 s" in verdict.reasons[0]


def test_a_replay_gives_the_same_verdicts_bit_for_bit() -> None:
    looks = [(1000, 5000, one) for one in traffic(3, 60, 100, 0.1, 0.01, 0.001)]
    looks += [(5000, 10_000, one) for one in traffic(4, 60, 100, 0.5, 0.01, 0.001)]
    assert replay(CRITERIA, looks) == replay(
        CRITERIA, [(s, f, Tick.model_validate_json(t.model_dump_json())) for s, f, t in looks]
    )


def test_evidence_of_harm_runs_on_through_the_shares() -> None:
    judge = Judge(CRITERIA)
    judge.enter(1000, 5000)
    for one in traffic(5, 4, 100, 0.1, 0.05, 0.0):
        judge.look(one)
    before = judge.look(tick(9, (0, 0), (0, 0))).numbers["ln_e_harm"]
    judge.enter(5000, 10_000)
    after = judge.look(tick(10, (0, 0), (0, 0))).numbers
    assert after["ln_e_harm"] == before
    assert after["ln_e_health"] == pytest.approx(0)


def test_success_is_measured_from_the_candidate_alone() -> None:
    actual = measured([tick(0, (100, 1), (900, 300))])
    assert actual["requests"] == 100
    assert actual["success_ratio"] == pytest.approx(0.99)


def test_a_histogram_keeps_quantiles_within_a_bucket() -> None:
    from domain.canary.tick import Sample  # noqa: PLC0415  # only this test makes samples

    random = np.random.default_rng(11)
    micros = np.exp(random.normal(10, 0.8, 5000)).astype(int)
    one = gather(0, [Sample(arm="candidate", replica="a", status=200, microseconds=int(m)) for m in micros])
    estimate = quantile(one.cells[0].latency(), 0.9)
    assert 1.0 <= estimate / np.quantile(micros, 0.9) < 1.05
