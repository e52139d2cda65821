"""The runner beside the embedded stack: it outlives a server that is away."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deployments import runner


class Client:
    """Stands in for a connection to Prefect's server."""


@contextmanager
def connected(*, sync_client: bool) -> Iterator[Client]:
    assert sync_client
    yield Client()


def test_a_runner_that_was_cut_off_begins_again_and_one_that_is_told_to_stop_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = []

    def serve(*ready: object, **how: object) -> None:
        served.append((ready, how["limit"]))
        if len(served) < 3:
            raise ExceptionGroup("unhandled errors", [RuntimeError("Service exceeded error threshold.")])

    monkeypatch.setattr(runner, "serve", serve)
    monkeypatch.setattr(runner, "settled", lambda deployments, client: list(deployments))
    monkeypatch.setattr(runner, "get_client", connected)
    monkeypatch.setattr(runner, "PAUSE", 0.0)
    runner.run(["release"])  # type: ignore[list-item]  # whatever is served is passed on
    assert served == [(("release",), runner.AT_ONCE)] * 3
