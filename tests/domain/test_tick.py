"""What one look says: counters and a histogram, and what they tell of a whole release."""

import numpy as np
import pytest

from domain.canary.join import join
from domain.canary.judge import measured
from domain.canary.tick import Arm, Cell, Sample, Tick, gather, quantile


def arm(name: Arm, requests: int, bad: int) -> Cell:
    return Cell(arm=name, replica=name, requests=requests, bad=bad)


def test_success_is_measured_from_the_candidate_alone() -> None:
    actual = measured([Tick(second=0, cells=(arm("candidate", 100, 1), arm("stable", 900, 300)))])
    assert actual["requests"] == 100
    assert actual["success_ratio"] == pytest.approx(0.99)


def test_a_histogram_keeps_quantiles_within_a_bucket() -> None:
    random = np.random.default_rng(11)
    micros = np.exp(random.normal(10, 0.8, 5000)).astype(int)
    one = gather(0, [Sample(arm="candidate", replica="a", status=200, microseconds=int(m)) for m in micros])
    estimate = quantile(one.cells[0].latency(), 0.9)
    assert 1.0 <= estimate / np.quantile(micros, 0.9) < 1.05


def test_a_clients_retries_are_one_failure_in_a_look_and_still_count_for_success() -> None:
    def sample(client: str, status: int) -> Sample:
        return Sample(arm="candidate", replica="c1", status=status, microseconds=900, client=client)

    burst = [sample("7", 503)] * 20 + [sample("7", 200), sample("8", 503), sample("", 503), sample("", 503)]
    [cell] = gather(0, burst).cells
    assert (cell.requests, cell.bad, cell.repeated) == (5, 4, 19)
    assert measured([Tick(second=0, cells=(cell,))])["success_ratio"] == pytest.approx(1 / 24)
    assert join(0, (Tick(second=0, cells=(cell,)), Tick(second=0, cells=(cell,)))).cells[0].repeated == 38
