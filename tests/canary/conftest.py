"""Traffic by hand, for judges that are to be told exactly what they see."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bench.canary.world import Batch, Counts

Looks = list[tuple[int, int]]


@pytest.fixture
def by_hand() -> Callable[..., Iterator[Batch]]:
    """Make looks of one run from (requests, bad) of the candidate; the stable arm is 1000 and 1 unless told."""

    def batches(candidate: Looks, stable: Looks | None = None, seconds: int = 30) -> Iterator[Batch]:
        for number, one in enumerate(candidate, 1):
            other = stable[number - 1] if stable else (1000, 1)
            yield Batch(number * seconds, seconds, *(Counts(np.array([[n]]), np.array([[x]])) for n, x in (one, other)))

    return batches
